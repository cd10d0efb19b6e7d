"""The documentation: its code runs, and the API reference has every public name.

`test_readme.py` runs the ```python blocks of all pages. Here are those that need another library
(```py), and the examples of the docstrings.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import runpy
from pathlib import Path

import pytest

import fused_rankloss
from package.test_readme import ROOT

DOCS = ROOT / "docs"
pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="no docs beside the tests")

PUBLIC = sorted(fused_rankloss.__all__)


def peer_blocks() -> list[pytest.param]:
    found = []
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```py\n(.*?)^```", text, re.M | re.S):
            line = text.count("\n", 0, match.start()) + 1
            found.append(pytest.param(match[1], id=f"{page.name}:{line}"))
    return found


def imported(code: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(code)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return names


@pytest.mark.parametrize("code", peer_blocks())
def test_the_equal_call_is_equal(code: str, tmp_path: Path) -> None:
    for name in sorted(imported(code)):
        try:
            importlib.import_module(name)
        except Exception as error:  # not installed, or at odds with what else is
            pytest.skip(f"{name}: {error!r}")
    script = tmp_path / "block.py"
    script.write_text(code, encoding="utf-8")
    runpy.run_path(str(script))


def test_the_reference_has_every_public_name() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. auto(?:function|class):: fused_rankloss\.(\w+)$", text, re.M)
    assert sorted(listed) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_docstring_runs(name: str) -> None:
    documented = getattr(fused_rankloss, name)
    finder = doctest.DocTestFinder(recurse=False)
    for test in finder.find(documented, name, globs={}):
        output: list[str] = []
        doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=output.append)
        assert output == []


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.lower().endswith("loss")])
def test_a_loss_has_an_example(name: str) -> None:
    assert ">>> " in (getattr(fused_rankloss, name).__doc__ or ""), name


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_the_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"csrc/[\w/]+\.\w+", page.read_text(encoding="utf-8"))
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_performance_page_is_of_the_rows() -> None:
    module = runpy.run_path(str(DOCS / "performance_tables.py"))
    if not module["ROWS"].exists():
        pytest.skip("no measurements beside the tests")
    page = module["PAGE"].read_text(encoding="utf-8")
    assert module["with_tables"](page) == page, "run python docs/performance_tables.py"


def test_the_figures_are_drawn_by_the_script() -> None:
    module = runpy.run_path(str(DOCS / "figures.py"))
    for name, draw in module["FIGURES"].items():
        assert (DOCS / "figures" / name).read_text(encoding="utf-8") == draw(), name


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    listed = set(re.findall(r"^(\w+)$", index, re.M))
    assert pages <= listed
