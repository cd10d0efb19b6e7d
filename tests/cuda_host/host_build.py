"""Compiles kernels with the host harness (cuda_host.h says what that is) into shared objects."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
CSRC = HERE.parent.parent / "csrc"
TORCH = Path(torch.__file__).parent

CXX = shlex.split(os.environ.get("CXX", "g++"))
FLAGS = [
    *("-std=c++20", "-O1", "-fPIC", "-shared", "-fvisibility=hidden"),
    "-ffp-contract=off",  # a host that fuses a*b+c would not round as the kernels say
    "-U_FORTIFY_SOURCE",  # which forbids to jump from one fiber to another
    *("-Wall", "-Wextra", "-Wno-unknown-pragmas"),
]
# Debug information, a third of the compiler's work, only for the lines of their reports.
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
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


def sources(path: Path, csrc: Path = CSRC) -> set[Path]:
    """A source and every file of csrc and of this folder that it includes, directly or not."""
    found, new = set(), {path, HERE / "harness" / "cuda_host.h"}
    while new:
        found |= new
        new = {
            file
            for including in new
            for name in re.findall(r'#include "([^"]+)"', including.read_text())
            for folder in (including.parent, csrc, HERE)
            if (file := (folder / name).resolve()).exists()
        } - found
    return found


def build(
    source: str,
    folder: Path,
    *,
    uses_torch: bool,
    sanitize: bool = False,
    csrc: Path = CSRC,
    flags: tuple[str, ...] = (),
) -> Path:
    """The shared object of one file of this folder; made anew only when that or a file which it
    includes has changed."""
    command = [*CXX, *FLAGS, *flags, f"-I{csrc}", f"-I{HERE}"]
    command += ["-include", "harness/cuda_host.h", str(HERE / source)]
    command += SANITIZERS if sanitize else []
    command += TORCH_FLAGS if uses_torch else []
    texts = [path.read_bytes() for path in sorted(sources(HERE / source, csrc))]
    key = hashlib.sha256(b"\0".join([" ".join(command).encode(), *texts])).hexdigest()[:16]
    target = folder / f"{Path(source).stem}-{key}.so"
    # Another thread or process may be building the same file.
    with open(folder / f"{Path(source).stem}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            draft = target.with_suffix(".tmp")
            done = subprocess.run([*command, "-o", str(draft)], capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
            draft.replace(target)
    return target


def build_ahead(launchers: Iterable[str], cache: pytest.Cache) -> ThreadPoolExecutor:
    """Starts to build libraries that tests will ask for, in this order, beside the tests."""
    threads = ThreadPoolExecutor(max_workers=2)
    for source in launchers:
        uses_torch = CSRC / "bind" / "torch.h" in sources(HERE / source)
        threads.submit(library, source, cache, uses_torch=uses_torch)
    return threads


def library(source: str, cache: pytest.Cache, *, uses_torch: bool = True) -> Path:
    """What tests of one file of this folder load: its kernels, mutated where mutants.py did so."""
    if folder := os.environ.get(LIBRARIES):
        for mutant in Path(folder).glob(f"{Path(source).stem}-*.so"):
            return mutant
    if not have_compiler():
        pytest.skip("no C++ compiler")
    return build(source, cache.mkdir("cuda_host"), uses_torch=uses_torch, sanitize=SANITIZE)
