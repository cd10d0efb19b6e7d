"""What ptxas says about every kernel, as a table: registers, spills, stack, shared memory.

The build runs nvcc through this file:

    python ptxas_report.py nvcc ... -c kernel.cu -o kernel.o

does what `nvcc ...` does and leaves the table of the kernels in kernel.o in kernel.o.csv. The build
puts all of them together beside the extension, where tests/package/test_ptxas.py reads them: they
cost nothing, and are about the very code that is installed. kernel.o.d lists the files that
kernel.cu includes. Where nvcc fails, the first error that it prints is left in kernel.o.error, for
the build to quote.

Files hopper_*.cu are compiled for sm_90a alone, whatever the architectures of the others: torch's
build command has one set of flags for all files.
"""

import csv
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

HOPPER = "-gencode=arch=compute_90a,code=sm_90a"


class Usage(NamedTuple):
    """Resources of one kernel on one architecture: bytes, or numbers of registers and barriers."""

    kernel: str  # mangled
    architecture: str  # "sm_90"
    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    shared: int  # static
    barriers: int


def parse(text: str) -> list[Usage]:
    """The kernels that `ptxas -v` tells of, as far as it words that as expected."""
    # Kernels follow each other, each with its own block of lines.
    blocks = text.split("Compiling entry function ")[1:]
    return [usage for block in blocks for usage in _parse_block(block)]


def _parse_block(block: str) -> list[Usage]:
    found = re.match(
        r"'(?P<kernel>\w+)' for '(?P<architecture>\w+)'.*?Function properties for (?P=kernel)\n"
        r"\s*(?P<stack>\d+) bytes stack frame, (?P<spill_stores>\d+) bytes spill stores, "
        r"(?P<spill_loads>\d+) bytes spill loads\n"
        r".*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
        block,
        re.DOTALL,
    )
    if found is None:
        return []
    fields = found.groupdict()
    rest = fields.pop("rest")
    for name, pattern in (("shared", r"(\d+) bytes smem"), ("barriers", r"used (\d+) barriers")):
        match = re.search(pattern, rest)
        fields[name] = match[1] if match else 0
    return [_usage(fields)]


def _usage(fields: dict) -> Usage:
    names = (fields.pop("kernel"), fields.pop("architecture"))
    return Usage(*names, **{name: int(value) for name, value in fields.items()})


def write(path: Path, usages: Iterable[Usage]) -> None:
    """Writes a table, sorted."""
    with path.open("w", newline="", encoding="ascii") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Usage._fields)
        table.writerows(sorted(usages))


def read(path: Path) -> list[Usage]:
    """Reads what `write` wrote."""
    with path.open(newline="", encoding="ascii") as file:
        return [_usage(row) for row in csv.DictReader(file)]


def path_beside(compiled: Path) -> Path:
    """Where the table of an object file lies."""
    return compiled.with_name(compiled.name + ".csv")


def error_beside(compiled: Path) -> Path:
    """Where the first error of an object file that did not compile lies."""
    return compiled.with_name(compiled.name + ".error")


def dependencies_beside(compiled: Path) -> Path:
    """Where nvcc lists the files that an object file was made of."""
    return compiled.with_name(compiled.name + ".d")


def is_outdated(compiled: Path) -> bool:
    """Whether a file that went into an object file is newer, or one beside it is missing."""
    listed = dependencies_beside(compiled)
    if not (listed.exists() and path_beside(compiled).exists()):
        return True
    # In make's format: "kernel.o : kernel.cu \\", one file per line, spaces escaped by a backslash.
    _, _, files = listed.read_text(encoding="utf-8").replace("\\\n", " ").partition(": ")
    paths = [Path(name.replace("\\ ", " ")) for name in re.findall(r"(?:\\ |\S)+", files)]
    made = compiled.stat().st_mtime_ns
    return any(not path.exists() or path.stat().st_mtime_ns > made for path in paths)


def is_error(line: str) -> bool:
    """Whether a compiler's or linker's line says what is wrong, rather than where."""
    said = r"\berror\b|\bfatal\b|multiple definition|undefined (reference|symbol)|cannot find"
    return re.search(said, line) is not None


def for_its_architecture(command: list[str]) -> list[str]:
    """The command, with the one architecture of a file that is for one."""
    if not any(re.fullmatch(r"hopper_\w+\.cu", Path(word).name) for word in command):
        return command
    others = [word for word in command if not re.match(r"-arch=|-gencode=", word)]
    return [*others, HOPPER]


def compile_and_report(command: list[str]) -> int:
    """Runs a compiler command; returns its exit status."""
    compiled = Path(command[command.index("-o") + 1])
    lists = ["-MD", "-MF", str(dependencies_beside(compiled))]
    done = subprocess.run(
        [*for_its_architecture(command), *lists, "-Xptxas=-v"],
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    said = re.compile(r"ptxas info *:|\s+\d+ bytes stack frame|\s*$")
    sys.stderr.writelines(line for line in done.stderr.splitlines(True) if not said.match(line))
    error_beside(compiled).unlink(missing_ok=True)
    if done.returncode == 0:
        write(path_beside(compiled), parse(done.stderr))
    else:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        first = next(filter(is_error, lines), lines[-1] if lines else "it printed nothing")
        if done.returncode < 0:
            first = f"{command[0]} was ended by signal {-done.returncode}"
        error_beside(compiled).write_text(first, encoding="utf-8")
    return done.returncode


if __name__ == "__main__":
    sys.exit(compile_and_report(sys.argv[1:]))
