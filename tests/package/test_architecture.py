"""Rules of the source tree that no compiler checks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "csrc"

pytestmark = pytest.mark.skipif(not SOURCES.is_dir(), reason="no source tree beside the tests")

CODE = {".h", ".cpp", ".inl", ".cu", ".cuh", ".py"}

FAMILIES = ("pairwise", "lambda", "listwise", "triplet", "catalogue")

# What the files of a room may include beside those of their own: its entry, and nothing else. A
# family never includes another one, the CPU's half never the CUDA half, and nothing an experiment.
BELOW = {
    "common": "",
    "losses": "common",
    "args": "common losses",
    "bind": "common losses args",
    "cpu/simd": "common losses",
    "cpu/lists": "common losses args bind cpu/simd",
    **{f"cpu/{family}": "common losses args bind cpu/simd cpu/lists" for family in FAMILIES},
    "cuda/primitives": "common",
    "cuda/launch": "common bind",
    "cuda/lists": "common losses args bind cuda/primitives cuda/launch",
    **{
        f"cuda/{family}": "common losses args bind cuda/primitives cuda/launch cuda/lists"
        for family in FAMILIES
    },
    "cuda/experimental": (
        "common losses args bind cuda/primitives cuda/launch cuda/lists cuda/triplet"
    ),
}

# The one hook of an experiment, which only builds with FUSED_RANKLOSS_EXPERIMENTAL=1 compile.
HOOKS = {("cuda/triplet/batch_hard/search.cuh", "cuda/experimental/hopper_search.h")}

# The only files that may see torch: what makes views of tensors (bind/), how launches find their
# stream (cuda/launch/launch.h), and the files that register ops. Kernels and maths never do.
BINDINGS = re.compile(
    r"bind/\w+\.h|module\.cpp|ops\.cpp|cpu/\w+/\w+\.cpp|cuda/\w+/\w+\.cu|cuda/launch/launch\.h"
)


def native_files() -> list[Path]:
    suffixes = {".h", ".cpp", ".inl", ".cu", ".cuh"}
    return sorted(path for path in SOURCES.rglob("*") if path.suffix in suffixes)


def without_comments(path: Path) -> str:
    return strip_comments(path.read_text())


def strip_comments(text: str) -> str:
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return re.sub(r"//[^\n]*", "", text)


def name(path: Path) -> str:
    return path.relative_to(SOURCES).as_posix()


def test_there_are_sources() -> None:
    names = {name(path) for path in native_files()}
    assert {"ops.cpp", "module.cpp", "bind/torch.h", "losses/hinge.h"} <= names


def includes_of(path: Path) -> list[str]:
    return re.findall(r'#include\s*[<"]([^>"]+)[>"]', without_comments(path))


def files_where(broken: Callable[[Path], object]) -> list[str]:
    return [name(path) for path in native_files() if broken(path)]


def room(file: str) -> str:
    """The folder of a file that BELOW speaks of: of the CPU's and the CUDA half, one within it."""
    folders = file.split("/")[:-1]
    return "/".join(folders[: 2 if folders[:1] in (["cpu"], ["cuda"]) else 1])


def test_arrows_between_rooms() -> None:
    wrong = [
        (name(path), header)
        for path in native_files()
        if room(name(path))
        for header in includes_of(path)
        if (SOURCES / header).exists()
        and room(header) not in (room(name(path)), *BELOW[room(name(path))].split())
        and (name(path), header) not in HOOKS
    ]
    assert wrong == []


def test_folders_are_namespaces() -> None:
    """A family's code lies in its namespace, all else of a device in that of the device."""

    def wanted(file: str) -> set[str]:
        device, family = (*file.split("/"), "")[:2]
        if device not in ("cpu", "cuda"):
            return {"fused_rankloss"}
        inner = [f"fused_rankloss::{device}"]
        if family == "experimental":  # its primitives, and the search, which is of a family
            return {*inner, f"{inner[0]}::triplet"}
        if family == "simd":
            inner = [inner[0], *(f"{inner[0]}::{isa}" for isa in ("baseline", "avx2", "avx512"))]
            return set(inner)
        return {f"{inner[0]}::{family}" if family in FAMILIES else inner[0]}

    def strays(path: Path) -> object:
        spaces = set(re.findall(r"^namespace (fused_rankloss[\w:]*) \{", path.read_text(), re.M))
        return spaces - wanted(name(path))

    assert files_where(strays) == []


def test_rooms_can_be_overlooked() -> None:
    """About thirty files in a folder, no more."""
    folders = [path.parent for path in SOURCES.parent.rglob("*") if path.suffix in CODE]
    crowded = {
        folder.relative_to(SOURCES.parent).as_posix(): number
        for folder, number in Counter(folders).items()
        if number > 32 and not {"build", ".git"} & set(folder.relative_to(SOURCES.parent).parts)
    }
    assert crowded == {}


def test_torch_stays_at_the_bindings() -> None:
    def sees_torch(path: Path) -> bool:
        if BINDINGS.fullmatch(name(path)):
            return False
        uses = re.search(r"\btorch\b|\bTORCH_|\bat::|\bc10::", without_comments(path))
        # Nor by way of another file.
        return bool(uses) or any(map(BINDINGS.fullmatch, includes_of(path)))

    assert files_where(sees_torch) == []


def test_only_the_stable_abi() -> None:
    """One build runs on every later torch: nothing from ATen or c10."""
    unstable = re.compile(
        r"ATen/|c10/|torch/(?!csrc/stable/|csrc/inductor/aoti_torch/|headeronly/)"
    )
    assert files_where(lambda path: any(map(unstable.match, includes_of(path)))) == []


def test_ops_take_their_strings() -> None:
    """TORCH_BOX leaks the strings of a call; boxed() of bind/torch.h stands in its place."""
    users = files_where(lambda path: "TORCH_BOX" in without_comments(path))
    assert [user for user in users if user != "bind/torch.h"] == []


def test_kernel_files_launch_nothing() -> None:
    """A .cuh compiles as plain C++ too, where kernels run without a GPU."""
    launches = files_where(lambda path: path.suffix == ".cuh" and "<<<" in without_comments(path))
    assert launches == []


def test_licence_line() -> None:
    line = "// SPDX-License-Identifier: BSD-3-Clause"

    def has_none(path: Path) -> bool:
        return path.suffix != ".inl" and path.read_text().splitlines()[0] != line

    assert files_where(has_none) == []


def test_nothing_prints_or_exits() -> None:
    words = re.compile(r"\bprintf\b|std::cerr|std::cout|\babort\(|\bexit\(")
    assert files_where(lambda path: words.search(without_comments(path))) == []


# ---- One definition --------------------------------------------------------------------------

# Words with which a definition may stand in every file that includes it, and types, which may, too.
SHARED = re.compile(
    r"\b(inline|__forceinline__|FRL_HD|constexpr|static|extern)\b|template <(?!>)"
    r"|^(template <> )?(struct|class|enum|union|using|typedef|static_assert|namespace)\b"
)


def definitions_of_one_file(text: str) -> list[str]:
    """What a linker refuses to find in two files: functions and variables of a named namespace that
    are neither inline nor templates nor static."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"', "", strip_comments(text))
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.MULTILINE)
    text = re.sub(r"\bnamespace [\w:]+ {", ";", text)
    braces = 1
    while braces:  # the innermost ones; those of a value stand close to its type or behind "="
        text, values = re.subn(r"((?<=\S)|(?<== )){[^{}]*}", "", text)
        text, bodies = re.subn(r"{[^{}]*}", "@", text)
        braces = values + bodies
    found = []
    for head, end in re.findall(r"([^;@}]*)([;@])", text):
        head = " ".join(head.split())
        declares = end == ";" and "=" not in head.partition("(")[0] and head.endswith(")")
        if head and not declares and not SHARED.search(head):
            found.append(head)
    return found


def files_with(header: str) -> list[str]:
    """The translation units that include a header, by themselves or through others."""
    including = {name(path): set(includes_of(path)) for path in native_files()}
    found, reached = {header}, {header}
    while reached:
        reached = {file for file, headers in including.items() if headers & reached} - found
        found |= reached
    return sorted(file for file in found if file.endswith((".cu", ".cpp")))


def test_headers_of_several_files_link() -> None:
    """A kernel or function in them is a template or inline: nothing links all .cu but the build."""
    single = {
        name(path): definitions_of_one_file(path.read_text())
        for path in native_files()
        if path.suffix in (".h", ".cuh")
    }
    assert {
        header: found for header, found in single.items() if found and len(files_with(header)) > 1
    } == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("__global__ void f(int x) { if (x) { g({x}); } }", ["__global__ void f(int x)"]),
        ("void __launch_bounds__(3)\n    f(A a) {\n}", ["void __launch_bounds__(3) f(A a)"]),
        ("template <>\n__global__ void f<3>() {}", ["template <> __global__ void f<3>()"]),
        ("int counter = 3;\nint other{};", ["int counter = 3", "int other"]),
        ("struct A {\n  void f() {}\n};\nvoid A::f() {}  // out", ["void A::f()"]),
        ("template <int k>\n__global__ void f() {}", []),
        ("FRL_HD int f() { return 1; }\ninline int g() { return f(); }", []),
        ("void f(int x);\nnamespace {\nvoid g() {}\n}\nstatic void h() {}", []),
        ("struct A {\n  int x = 3;\n  A() : x(1) {}\n};\nenum class B { kC };", []),
        ("#define F() \\\n  void f() {}\ninline constexpr int kF[] = {1, 2};", []),
    ],
)
def test_definitions_of_one_file_are_seen(text: str, found: list[str]) -> None:
    assert definitions_of_one_file(f"namespace fused_rankloss::x {{\n{text}\n}}\n") == found


def test_files_with_a_header() -> None:
    assert files_with("cuda/pairwise/dispatch.cuh") == ["cuda/pairwise/pairwise.cu"]
