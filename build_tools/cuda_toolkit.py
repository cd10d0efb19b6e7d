"""Finds a CUDA toolkit whose nvcc works, and the GPU architectures to compile for."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

NVCC_STANDARD = "-std=c++20"

# The oldest toolkit that csrc/cuda is compiled with before a change lands, and the oldest GPUs: the
# tensor-core search needs ldmatrix and mma.m16n8k8.
MINIMUM_TOOLKIT = (12, 4)
MINIMUM_ARCHITECTURE = 75

# Where no GPU is visible. Code for 8.0 also runs on 8.6 to 8.9, 9.0 is Hopper, and every later GPU
# compiles the PTX of 9.0 when it first needs a kernel: PTX of 8.0 would serve no other.
USUAL_ARCHITECTURES = (80, 90)

# What the kernels ask of a toolkit beyond C++20, in a few lines.
PROBE = Path(__file__).with_name("probe.cu")


class CudaUnavailable(Exception):
    """Says in one sentence why the CUDA kernels cannot be compiled."""


@dataclass(frozen=True)
class Toolkit:
    """A CUDA toolkit that has compiled what the kernels need."""

    root: Path
    version: str  # "13.0"
    architectures: tuple[str, ...]  # of the code it is to make: ("sm_80", "sm_90a", "compute_90")

    @property
    def architecture_flags(self) -> list[str]:
        """nvcc's flags for them."""
        return [
            f"-gencode=arch=compute_{name.rpartition('_')[2]},code={name}"
            for name in self.architectures
        ]

    @property
    def nvcc(self) -> Path:
        return self.root / "bin" / "nvcc"

    @property
    def library_folders(self) -> list[Path]:
        """lib64 in an installed toolkit, lib in the one from PyPI."""
        return [folder for name in ("lib64", "lib") if (folder := self.root / name).is_dir()]


def find_toolkit(
    environ=os.environ, folders=sys.path, devices: Iterable[tuple[int, int]] = ()
) -> Toolkit:
    """The first toolkit there is, tried out.

    Args:
        environ: the environment variables CUDA_HOME, CUDA_PATH, PATH and TORCH_CUDA_ARCH_LIST.
        folders: package folders to look for the toolkit from PyPI (`cuda-toolkit`) in.
        devices: the compute capabilities of this machine's GPUs.

    Raises:
        CudaUnavailable: there is none, it is too old, it does not compile what the kernels need,
            or none of the GPUs can run them.
    """
    nvcc = next(candidates(environ, folders), None)
    if nvcc is None:
        raise CudaUnavailable(
            "no nvcc was found in $CUDA_HOME, $CUDA_PATH, $PATH, /usr/local/cuda*, /opt/cuda or "
            "the cuda-toolkit package from PyPI"
        )
    version = _search(r"release (\d+\.\d+)", _run([nvcc, "--version"]), nvcc)
    if tuple(map(int, version.split("."))) < MINIMUM_TOOLKIT:
        raise CudaUnavailable(
            f"{nvcc} is of CUDA {version}, and the kernels need 12.4 or newer; $CUDA_HOME may name "
            "another toolkit"
        )
    known = re.findall(r"^sm_(\d+)$", _run([nvcc, "--list-gpu-code"]), re.MULTILINE)
    architectures = choose_architectures(
        environ.get("TORCH_CUDA_ARCH_LIST", ""), sorted(map(int, known)), devices
    )
    # nvcc may be a script that starts another one: the real one tells where it lives.
    # Debian's has no root of its own beyond that.
    bin_folder = _search(r"^#\$ _HERE_=(.+)$", _run([nvcc, "--dryrun", "-c", PROBE]), nvcc)
    toolkit = Toolkit(Path(os.path.normpath(bin_folder)).parent, version, architectures)
    with tempfile.TemporaryDirectory() as folder:
        output = ["-o", Path(folder, "probe.o")]
        _run([nvcc, NVCC_STANDARD, *toolkit.architecture_flags, "-c", PROBE, *output])
    return toolkit


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


def choose_architectures(
    arch_list: str, known: list[int], devices: Iterable[tuple[int, int]] = ()
) -> tuple[str, ...]:
    """The architectures to compile for: "sm_80" for machine code, "compute_90" for PTX.

    Args:
        arch_list: a TORCH_CUDA_ARCH_LIST such as "8.0;9.0a 12.0+PTX", of which those that are too
            old are left out, or "all": every architecture that nvcc knows, and PTX of the newest.
            Empty, those of `devices`; without devices, the usual ones.
        known: the architectures that nvcc knows, sorted: [75, 80].
        devices: compute capabilities: [(8, 0)].
    """
    known = [number for number in known if number >= MINIMUM_ARCHITECTURE]
    if not known:
        raise CudaUnavailable("this nvcc knows no GPU of compute capability 7.5 or newer")
    if arch_list.strip().lower() == "all":
        chosen = [f"sm_{number}" for number in known]
        return (*chosen, f"compute_{known[-1]}")
    if arch_list.strip():
        return _listed(arch_list)
    if devices := sorted({major * 10 + minor for major, minor in devices}):
        return _of_devices(devices, known)
    usual = [number for number in USUAL_ARCHITECTURES if number in known] or known[:1]
    return (*(f"sm_{number}" for number in usual), f"compute_{usual[-1]}")


def _listed(arch_list: str) -> tuple[str, ...]:
    chosen = []
    for entry in re.split(r"[;,\s]+", arch_list.strip()):
        match = re.fullmatch(r"(\d+)\.(\d+)([af]?)(\+PTX)?", entry)
        if match is None:
            raise CudaUnavailable(
                "TORCH_CUDA_ARCH_LIST: expected all, or entries such as 8.0, 9.0a or 12.0+PTX, "
                f"got {entry!r} in {arch_list!r}"
            )
        number = match[1] + match[2]
        if int(number) >= MINIMUM_ARCHITECTURE:
            chosen.append(f"sm_{number}{match[3]}")
            if match[4]:
                chosen.append(f"compute_{number}{match[3]}")
    if not chosen:
        raise CudaUnavailable(
            f"TORCH_CUDA_ARCH_LIST: the kernels need 7.5 or newer, got {arch_list!r}"
        )
    return tuple(dict.fromkeys(chosen))


def _of_devices(devices: list[int], known: list[int]) -> tuple[str, ...]:
    able = [number for number in devices if number >= MINIMUM_ARCHITECTURE]
    if not able:
        raise CudaUnavailable(
            "the kernels need a GPU of compute capability 7.5 or newer, and this machine has "
            + " and ".join(f"{number // 10}.{number % 10}" for number in devices)
        )
    chosen = []
    for number in able:
        older = [code for code in known if code <= number]
        best = older[-1] if older else known[0]
        # Machine code runs on later minors of its major; PTX on anything later.
        chosen.append(f"sm_{best}" if best // 10 == number // 10 else f"compute_{best}")
    return tuple(dict.fromkeys(chosen))


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
