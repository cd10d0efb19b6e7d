"""Finds a CUDA toolkit whose nvcc works, and the GPU architectures to compile for."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

NVCC_STANDARD = "-std=c++20"


class CudaUnavailable(Exception):
    """Says in one sentence why the CUDA kernels cannot be compiled."""


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit that has compiled a trivial kernel."""

    root: Path
    version: str  # "13.0"
    architecture_flags: tuple[str, ...]  # what nvcc is told
    architectures: tuple[str, ...]  # what that comes to: ("sm_75", "sm_80", ...)

    @property
    def nvcc(self) -> Path:
        return self.root / "bin" / "nvcc"

    @property
    def library_folders(self) -> list[Path]:
        """lib64 in an installed toolkit, lib in the one from PyPI."""
        return [folder for name in ("lib64", "lib") if (folder := self.root / name).is_dir()]


def find_toolkit(environ=os.environ, folders=sys.path) -> Toolkit:
    """The first toolkit there is, tried out.

    Args:
        environ: the environment variables CUDA_HOME, CUDA_PATH, PATH and TORCH_CUDA_ARCH_LIST.
        folders: package folders to look for the toolkit from PyPI (`cuda-toolkit`) in.

    Raises:
        CudaUnavailable: there is none, or its nvcc does not compile a trivial kernel.
    """
    nvcc = next(candidates(environ, folders), None)
    if nvcc is None:
        raise CudaUnavailable(
            "no nvcc was found in $CUDA_HOME, $CUDA_PATH, $PATH, /usr/local/cuda*, /opt/cuda or "
            "the cuda-toolkit package from PyPI"
        )
    flags = architecture_flags(environ.get("TORCH_CUDA_ARCH_LIST", ""))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cu")
        source.write_text("__global__ void probe() {}\n", encoding="utf-8")
        command = [nvcc, NVCC_STANDARD, "-c", source, "-o", Path(folder, "probe.o")]
        plan = _run([*command, *flags, "--dryrun"])  # also refuses unknown architectures
        _run(command)
        version = _run([nvcc, "--version"])
    # nvcc may be a script that starts another one: the real one tells where it lives.
    root = _search(r"^#\$ TOP=(.+)$", plan, nvcc)
    numbers = _search(r"-D__CUDA_ARCH_LIST__=([\d,]+)", plan, nvcc)
    return Toolkit(
        root=Path(os.path.normpath(root)),
        version=_search(r"release (\d+\.\d+)", version, nvcc),
        architecture_flags=tuple(flags),
        architectures=tuple(f"sm_{int(number) // 10}" for number in numbers.split(",")),
    )


def candidates(environ, folders) -> Iterator[Path]:
    """Every nvcc there is, in the order of preference."""
    for variable in ("CUDA_HOME", "CUDA_PATH"):
        if environ.get(variable):
            yield from _existing(Path(environ[variable]))
    on_path = shutil.which("nvcc", path=environ.get("PATH", os.defpath))
    if on_path:
        yield Path(on_path)
    for prefix in ("/usr/local/cuda", *sorted(Path("/usr/local").glob("cuda-*"), reverse=True)):
        yield from _existing(Path(prefix))
    yield from _existing(Path("/opt/cuda"))
    for folder in folders:
        for prefix in sorted(Path(folder, "nvidia").glob("cu[0-9]*"), reverse=True):
            yield from _existing(prefix)


def architecture_flags(arch_list: str) -> list[str]:
    """nvcc's flags for a TORCH_CUDA_ARCH_LIST such as "8.0;9.0a 12.0+PTX".

    Unset, every major architecture that this nvcc knows, and PTX of the newest for later GPUs:
    the result then does not depend on the GPU of the machine that builds.
    """
    if not arch_list.strip():
        return ["-arch=all-major"]
    flags = []
    for entry in re.split(r"[;,\s]+", arch_list.strip()):
        match = re.fullmatch(r"(\d+)\.(\d+[af]?)(\+PTX)?", entry)
        if match is None:
            raise CudaUnavailable(
                "TORCH_CUDA_ARCH_LIST: expected entries such as 8.0, 9.0a or 12.0+PTX, "
                f"got {entry!r} in {arch_list!r}"
            )
        number = match[1] + match[2]
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if match[3]:
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return flags


def _existing(prefix: Path) -> Iterator[Path]:
    nvcc = prefix / "bin" / "nvcc"
    if os.access(nvcc, os.X_OK):
        yield nvcc


def _run(command: list) -> str:
    """The output of `command`, stdout and stderr together: nvcc prints its plan on stderr."""
    command = [str(part) for part in command]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
    except OSError as error:
        raise CudaUnavailable(f"{command[0]} cannot be started: {error.strerror}") from error
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise CudaUnavailable(
            f"{command[0]} failed with exit status {done.returncode}: "
            f"{lines[-1].strip() if lines else 'it printed nothing'}"
        )
    return done.stdout


def _search(pattern: str, text: str, nvcc: Path) -> str:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise CudaUnavailable(f"{nvcc} is not an nvcc: its output has no match for {pattern!r}")
    return match[1].strip()
