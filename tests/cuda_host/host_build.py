"""Compiles kernels with the host harness (cuda_host.h says what that is) into shared objects."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
CSRC = HERE.parent.parent / "csrc"
TORCH = Path(torch.__file__).parent

CXX = shlex.split(os.environ.get("CXX", "g++"))
FLAGS = [
    *("-std=c++20", "-O1", "-g", "-fPIC", "-shared", "-fvisibility=hidden"),
    "-ffp-contract=off",  # a host that fuses a*b+c would not round as the kernels say
    "-U_FORTIFY_SOURCE",  # which forbids to jump from one fiber to another
    *("-Wall", "-Wextra", "-Wno-unknown-pragmas"),
]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
TORCH_FLAGS = [
    *("-isystem", str(TORCH / "include"), "-DTORCH_TARGET_VERSION=0x020b000000000000"),
    *(f"-L{TORCH / 'lib'}", "-ltorch_cpu", f"-Wl,-rpath,{TORCH / 'lib'}"),
]

# `make sanitize` preloads AddressSanitizer; then the kernels are compiled for it, too.
SANITIZE = "libasan" in os.environ.get("LD_PRELOAD", "")

# Names a folder of libraries of mutated kernels, which go before those built here: see mutants.py.
LIBRARIES = "FUSED_RANKLOSS_HOST_LIBRARIES"


def have_compiler() -> bool:
    return shutil.which(CXX[0]) is not None


def build(
    source: str,
    folder: Path,
    *,
    uses_torch: bool,
    sanitize: bool = False,
    csrc: Path = CSRC,
    flags: tuple[str, ...] = (),
) -> Path:
    """The shared object of one file of this folder; made anew only when a source has changed."""
    command = [*CXX, *FLAGS, *flags, f"-I{csrc}", f"-I{HERE}"]
    command += ["-include", "cuda_host.h", str(HERE / source)]
    command += SANITIZERS if sanitize else []
    command += TORCH_FLAGS if uses_torch else []
    texts = [
        path.read_bytes()
        for root in (csrc, HERE)
        for path in sorted(root.rglob("*"))
        if path.suffix in (".h", ".cuh", ".cpp") and "cpu" not in path.parts
    ]
    key = hashlib.sha256(b"\0".join([" ".join(command).encode(), *texts])).hexdigest()[:16]
    target = folder / f"{Path(source).stem}-{key}.so"
    if not target.exists():
        # Under a name of its own first: another process may be building the same file.
        draft = target.with_suffix(f".{os.getpid()}.tmp")
        done = subprocess.run([*command, "-o", str(draft)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
        draft.replace(target)
    return target


def library(source: str, cache: pytest.Cache, *, uses_torch: bool = True) -> Path:
    """What tests of one file of this folder load: its kernels, mutated where mutants.py did so."""
    if folder := os.environ.get(LIBRARIES):
        for mutant in Path(folder).glob(f"{Path(source).stem}-*.so"):
            return mutant
    if not have_compiler():
        pytest.skip("no C++ compiler")
    return build(source, cache.mkdir("cuda_host"), uses_torch=uses_torch, sanitize=SANITIZE)
