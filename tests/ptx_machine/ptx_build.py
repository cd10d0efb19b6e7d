"""Compiles csrc/cuda to host objects that carry plain PTX, and with the machine to a shared object.

    python tests/ptx_machine/ptx_build.py [FOLDER]     # compiles what has changed, into FOLDER

Every object is kept under a hash of its own sources (whatever it includes of csrc) and flags.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from torch.utils import cpp_extension

HERE = Path(__file__).parent
MACHINE = HERE / "machine"
CSRC = HERE.parent.parent / "csrc"
TORCH = Path(torch.__file__).parent
CACHE = HERE.parent.parent / ".pytest_cache" / "d" / "ptx_machine"

JOBS = int(os.environ.get("MAX_JOBS", "2"))
CXX = shlex.split(os.environ.get("CXX", "g++"))
NVCC = os.environ.get("NVCC", "nvcc")
# Of the PTX: below 80 the kernels copy without cp.async and multiply in smaller steps.
ARCHITECTURE = os.environ.get("FUSED_RANKLOSS_PTX_ARCHITECTURE", "80")

TORCH_FLAGS = ["-isystem", str(TORCH / "include")]
STABLE_ABI = ["-DTORCH_TARGET_VERSION=0x020b000000000000"]
# -ffp-contract=off: an fma of the machine is one that the PTX has.
CXX_FLAGS = [
    *("-std=c++20", "-fPIC", "-fvisibility=hidden", "-ffp-contract=off", "-fno-strict-aliasing"),
    *("-Wall", "-Wextra", "-Wno-unknown-pragmas"),
]
# As the package compiles csrc/cuda, but for one architecture, no further than PTX, with lines.
NVCC_FLAGS = [
    *("-std=c++20", "-O3", "-lineinfo", "-DUSE_CUDA", "-DFUSED_RANKLOSS_EXPERIMENTAL"),
    "--no-compress",
    *cpp_extension.COMMON_NVCC_FLAGS,
    "-Xcompiler=-fPIC,-fvisibility=hidden,-ffp-contract=off",
]


def why_not() -> str | None:
    """What is missing to build the machine, or None."""
    if shutil.which(CXX[0]) is None:
        return "no C++ compiler"
    if shutil.which(NVCC) is None:
        return "no nvcc"
    return None


def cuda_sources(csrc: Path = CSRC) -> list[Path]:
    """Every .cu file, the large ones first."""
    return sorted(
        csrc.glob("cuda/*/*.cu"), key=lambda file: (-_closure_size(file, csrc), file.name)
    )


def architecture(source: Path) -> str:
    """That of the PTX: wgmma and TMA exist for sm_90a alone."""
    return "90a" if source.name.startswith("hopper_") else ARCHITECTURE


def build(folder: Path, csrc: Path = CSRC, kept: Path | None = None) -> Path:
    """The shared object of all kernels, their launchers and the machine.

    ``kept``: a folder where objects of unchanged sources may be found.
    """
    sources = [*cuda_sources(csrc), csrc / "ops.cpp", *sorted(MACHINE.rglob("*.cpp"))]
    with _alone(folder), ThreadPoolExecutor(JOBS) as pool:
        objects = list(pool.map(lambda source: _object(source, folder, csrc, kept), sources))
    return _link(folder / f"kernels-{_digest(path.name for path in objects)}.so", objects)


def machine_alone(folder: Path) -> Path:
    """The shared object of the machine, to which PTX texts are handed."""
    sources = sorted(MACHINE.rglob("*.cpp"))
    with _alone(folder), ThreadPoolExecutor(JOBS) as pool:
        objects = list(pool.map(lambda source: _object(source, folder, CSRC), sources))
    return _link(folder / f"machine-{_digest(path.name for path in objects)}.so", objects)


# Names a library of mutated kernels, which goes before the one built here: see planted.py.
LIBRARY = "FUSED_RANKLOSS_PTX_LIBRARY"


def library(folder: Path) -> Path:
    """What the tests load."""
    if given := os.environ.get(LIBRARY):
        return Path(given)
    return build(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of several processes one compiles; the others wait, and find what it has made."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _object(source: Path, folder: Path, csrc: Path, kept: Path | None = None) -> Path:
    if source.suffix == ".cu":
        arch = architecture(source)
        # The project's own include path comes from csrc, so that the hash need not hold its place.
        command = [*NVCC_FLAGS, *TORCH_FLAGS, *STABLE_ABI, "-include", "registration.h"]
        command += ["-gencode", f"arch=compute_{arch},code=compute_{arch}"]
        compiler = [NVCC]
    else:
        command = [*CXX_FLAGS, *_cxx_flags(source)]
        compiler = CXX
    texts = [path.read_bytes() for path in sorted(_closure(source, csrc))]
    key = _digest([*compiler, *command, *texts])
    target = folder / f"{source.stem}-{key}.o"
    if kept and (kept / target.name).exists():
        return kept / target.name
    if not target.exists():
        _compile([*compiler, *command, f"-I{csrc}", f"-I{MACHINE}", "-c", str(source)], target)
    return target


def _cxx_flags(source: Path) -> list[str]:
    if not source.is_relative_to(MACHINE):
        return ["-O1", *TORCH_FLAGS, *STABLE_ABI, "-include", "registration.h"]
    flags = ["-O3", "-fno-trapping-math", "-fno-math-errno", *_vector_flags()]
    if source.stem == "torch_memory":
        flags += TORCH_FLAGS
    if source.stem == "cudart":
        flags += ["-isystem", str(_toolkit() / "include")]
    return flags


def _toolkit() -> Path:
    """Where nvcc's headers are: it may be a script that calls the one of the toolkit."""
    said = subprocess.run(
        [NVCC, "--dryrun", "-x", "cu", os.devnull], capture_output=True, text=True
    )
    return Path(re.search(r"^#\$ TOP=(.*)$", said.stderr, re.MULTILINE)[1])


def _vector_flags() -> list[str]:
    """Lanes are loops, of which the compiler makes vectors of what this processor has."""
    facts = Path("/proc/cpuinfo")
    found = set(facts.read_text().split()) if facts.exists() else set()
    return ["-mavx2", "-mfma"] if {"avx2", "fma"} <= found else []


def _link(target: Path, objects: list[Path]) -> Path:
    if not target.exists():
        command = [*CXX, "-shared", *map(str, objects), f"-L{TORCH / 'lib'}", "-ltorch_cpu"]
        _compile(
            [
                *command,
                "-lc10",
                "-ltorch",
                f"-Wl,-rpath,{TORCH / 'lib'}",
                "-Wl,-z,defs",
                "-Wl,-Bsymbolic-functions",
            ],
            target,
        )
    return target


def _compile(command: list[str], target: Path) -> None:
    """Under a name of its own first: another process may be building the same file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_suffix(f".{os.getpid()}.tmp")
    done = subprocess.run([*command, "-o", str(draft)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
    draft.replace(target)


def _closure(source: Path, csrc: Path) -> set[Path]:
    """A source and the files of csrc and of the machine that it includes, directly or not."""
    found: set[Path] = set()
    todo = [source] if source.is_relative_to(MACHINE) else [source, MACHINE / "registration.h"]
    while todo:
        file = todo.pop()
        if file in found:
            continue
        found.add(file)
        for name in re.findall(r'^\s*#include "([^"]+)"', file.read_text(), re.MULTILINE):
            todo += [path for path in (csrc / name, MACHINE / name) if path.exists()][:1]
    return found


def _closure_size(source: Path, csrc: Path) -> int:
    return sum(file.stat().st_size for file in _closure(source, csrc))


def _digest(parts: Iterable[str | bytes]) -> str:
    data = b"\0".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return hashlib.sha256(data).hexdigest()[:16]


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if sys.argv[1:] else CACHE))
