"""Rules of the source tree that no compiler checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[1] / "csrc"

pytestmark = pytest.mark.skipif(not SOURCES.is_dir(), reason="no source tree beside the tests")

# The only files that may see torch: what turns tensors into plain views (common/torch.h), what CPU
# and CUDA bindings of an op share (common/*_op.h), how CUDA bindings find their stream
# (cuda/launch.h), and the bindings. Kernels and maths never do.
BINDINGS = re.compile(
    r"common/(torch|\w+_op)\.h|module\.cpp|ops\.cpp|cpu/\w+\.cpp|cuda/(\w+\.cu|(cooperative_)?launch\.h)"
)


def native_files() -> list[Path]:
    suffixes = {".h", ".cpp", ".inl", ".cu", ".cuh"}
    return sorted(path for path in SOURCES.rglob("*") if path.suffix in suffixes)


def without_comments(path: Path) -> str:
    text = path.read_text()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"//[^\n]*", "", text)


def name(path: Path) -> str:
    return path.relative_to(SOURCES).as_posix()


every_file = pytest.mark.parametrize("path", native_files(), ids=name)


def test_there_are_sources() -> None:
    names = {name(path) for path in native_files()}
    assert {"ops.cpp", "module.cpp", "common/torch.h", "losses/hinge.h"} <= names


def includes_of(path: Path) -> list[str]:
    return re.findall(r'#include\s*[<"]([^>"]+)[>"]', without_comments(path))


@every_file
def test_torch_stays_at_the_bindings(path: Path) -> None:
    if BINDINGS.fullmatch(name(path)):
        return
    assert not re.search(r"\btorch\b|\bTORCH_|\bat::|\bc10::", without_comments(path))
    # Nor by way of another file.
    assert [header for header in includes_of(path) if BINDINGS.fullmatch(header)] == []


@every_file
def test_only_the_stable_abi(path: Path) -> None:
    """One build runs on every later torch: nothing from ATen or c10."""
    unstable = re.compile(
        r"ATen/|c10/|torch/(?!csrc/stable/|csrc/inductor/aoti_torch/|headeronly/)"
    )
    assert [header for header in includes_of(path) if unstable.match(header)] == []


@every_file
def test_kernel_files_launch_nothing(path: Path) -> None:
    """A .cuh compiles as plain C++ too, where kernels run without a GPU."""
    if path.suffix == ".cuh":
        assert "<<<" not in without_comments(path)


@every_file
def test_licence_line(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first == "// SPDX-License-Identifier: BSD-3-Clause" or path.suffix == ".inl"


@every_file
def test_nothing_prints_or_exits(path: Path) -> None:
    assert not re.search(
        r"\bprintf\b|std::cerr|std::cout|\babort\(|\bexit\(", without_comments(path)
    )
