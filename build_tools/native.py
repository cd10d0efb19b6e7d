"""The build_ext command: compile the CUDA kernels if possible, then `_C`, which records how."""

import atexit
import contextlib
import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from setuptools.errors import LinkError
from torch.utils import cpp_extension

from build_tools import ptxas_report, target_torch
from build_tools.cuda_toolkit import NVCC_STANDARD, CudaUnavailable, Toolkit, find_toolkit

SANITIZE = os.environ.get("FUSED_RANKLOSS_SANITIZE", "0") == "1"
LINE_INFO = os.environ.get("FUSED_RANKLOSS_LINEINFO", "0") == "1"
EXPERIMENTAL = os.environ.get("FUSED_RANKLOSS_EXPERIMENTAL", "0") == "1"
EXPERIMENTAL_FLAGS = ["-DFUSED_RANKLOSS_EXPERIMENTAL"] if EXPERIMENTAL else []

# The oldest torch that a build runs on: with the stable ABI it also runs on every later one.
TORCH_TARGET = "-DTORCH_TARGET_VERSION=0x{:02x}{:02x}000000000000".format(*target_torch.MINIMUM)

# Absolute, since ninja compiles in a folder of its own.
ROOT = Path(__file__).resolve().parent.parent
INCLUDE = str(ROOT / "csrc")

# Beside `_cuda`: what its kernels take of a GPU's resources.
PTXAS_REPORT = "_cuda_ptxas.csv"

SANITIZE_FLAGS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
# No -march=native: a build must run on other machines, wider vectors are chosen at run time.
# -ffp-contract=off: a compiler free to fuse a*b+c would give each build its own last bit.
CXX_FLAGS = [
    "-std=c++20",
    *(["-O1", "-g", "-fno-omit-frame-pointer", *SANITIZE_FLAGS] if SANITIZE else ["-O3"]),
    "-ffp-contract=off",
    "-fvisibility=hidden",
    "-Wall",
    TORCH_TARGET,
    *EXPERIMENTAL_FLAGS,
]
# No --threads: ninja has files enough for every core.
NVCC_FLAGS = [
    NVCC_STANDARD,
    "-O3",
    *(["-lineinfo"] if LINE_INFO else []),
    "-Xptxas=--warn-on-spills",
    "-Xcompiler=-fvisibility=hidden,-ffp-contract=off",
    TORCH_TARGET,
    "-DUSE_CUDA",
    *EXPERIMENTAL_FLAGS,
]
# A static cudart runs on any driver that is new enough, whatever CUDA torch came with; its symbols
# stay hidden, so that ours and torch's never answer each other's calls. The current stream is
# asked of libtorch_cuda, which libtorch brings along where there is one.
CUDA_LINK_FLAGS = [
    *("-lcudart_static", "-lrt", "-ldl", "-lpthread", "-Wl,--exclude-libs,ALL"),
    *("-Wl,--no-as-needed", "-ltorch"),
]

# CPU seconds that a file takes on average, for the estimate that the build begins with. Measured
# on a Xeon with g++ 12 and nvcc 13.0, on files that stand for the others: rough figures.
CXX_SECONDS = 5
NVCC_SECONDS = 9  # and for each architecture:
ARCHITECTURE_SECONDS = 17


def extensions(cpu_sources: list[str], cuda_sources: list[str]) -> list:
    """The two shared objects. `_cuda` comes first: `_C` records whether it was built."""
    if importlib.util.find_spec("pybind11") is None:  # only without build isolation
        sys.exit("fused_rankloss: building needs pybind11: pip install ninja pybind11")
    return [
        cpp_extension.CppExtension(
            "fused_rankloss._cuda",
            cuda_sources,
            include_dirs=[INCLUDE],
            extra_compile_args={"cxx": CXX_FLAGS, "nvcc": NVCC_FLAGS},
            extra_link_args=CUDA_LINK_FLAGS,
        ),
        cpp_extension.CppExtension(
            "fused_rankloss._C",
            cpu_sources,
            include_dirs=[INCLUDE],
            extra_compile_args={"cxx": CXX_FLAGS},
            extra_link_args=SANITIZE_FLAGS if SANITIZE else [],
        ),
    ]


class BuildNative(cpp_extension.BuildExtension):
    """torch's build command (ninja, torch's headers and libraries), for both kinds of machine.

    FUSED_RANKLOSS_CUDA=auto (the default) compiles the CUDA kernels where torch has CUDA and there
    is an nvcc that works, and the CPU kernels alone elsewhere; 1 compiles them for any torch, and
    fails where that is not possible; 0 does not try.
    """

    def build_extensions(self):
        """Compiles `_cuda` where that is possible, then `_C`."""
        _require_compiler()
        self.cuda_mode = _cuda_mode()
        self.toolkit, self.cuda_skipped = self._find_toolkit()
        cuda, core = self.extensions
        if self.toolkit:
            self._use(self.toolkit, cuda)
            self._remove_outdated_objects(cuda)
        else:
            self.extensions = [core]
        # ninja's own default has two more than cores, and each may be a compiler of 1 GB.
        os.environ["MAX_JOBS"] = str(_jobs())
        print(self._announcement(), file=sys.stderr, flush=True)
        super().build_extensions()
        if self.toolkit is None:
            self.extensions = [core]  # a `_cuda` that did not compile is not to be installed
        # At exit, so that it is the log's last line: setuptools still has a wheel to describe.
        atexit.register(print, self._summary(), flush=True)

    def build_extension(self, ext):
        """Compiles one of the two."""
        if ext.name == "fused_rankloss._C":
            ext.include_dirs.insert(0, str(self._write_build_facts()))
            super().build_extension(ext)
            return
        said: list[str] = []
        try:
            with self._reporting_nvcc(), _keeping_stderr(said):
                super().build_extension(ext)
            self._write_ptxas_report(ext)
        except Exception as error:  # setuptools and torch raise types of their own
            linking = isinstance(error, LinkError)
            cause = None if linking else self._first_nvcc_error(ext)
            cause = cause or next(filter(ptxas_report.is_error, said), None) or str(error)
            if re.search(r"\bsignal \d", cause):  # says nothing about CUDA, so no build without it
                sys.exit(
                    f"fused_rankloss: {cause[:400]}. Has memory run out? MAX_JOBS=1 compiles one "
                    "file at a time."
                )
            self._give_up_cuda(
                f"csrc/cuda did not {'link' if linking else 'compile'} with {self.toolkit.nvcc} "
                f"(CUDA {self.toolkit.version}): {cause[:400]} (the build log, pip install -v, has "
                "all of it)"
            )
            # Not only at the end: what went wrong stands right above.
            print(f"{'*' * 78}\n{self._summary()}\n{'*' * 78}", file=sys.stderr, flush=True)

    def _find_toolkit(self) -> tuple[Toolkit | None, str | None]:
        """The toolkit to compile with, or None and the reason."""
        if SANITIZE:
            return None, "it was built with FUSED_RANKLOSS_SANITIZE=1"
        if self.cuda_mode == "0":
            return None, "it was built with FUSED_RANKLOSS_CUDA=0"
        try:
            if torch.version.hip:
                raise CudaUnavailable(f"torch {torch.__version__} is a ROCm build")
            if torch.version.cuda is None and self.cuda_mode == "auto":
                raise CudaUnavailable(f"torch {torch.__version__} has no CUDA")
            return find_toolkit(devices=_devices()), None
        except CudaUnavailable as error:
            self._give_up_cuda(str(error))
            return None, self.cuda_skipped

    def _give_up_cuda(self, reason: str):
        """Goes on with the CPU kernels alone, or ends the build where CUDA was demanded."""
        if self.cuda_mode == "1":
            sys.exit(f"fused_rankloss: FUSED_RANKLOSS_CUDA=1 asks for CUDA kernels, but {reason}.")
        self.toolkit, self.cuda_skipped = None, reason

    @staticmethod
    def _use(toolkit: Toolkit, cuda):
        # torch guesses the toolkit from `which nvcc`, wrongly where that is a wrapper script, and
        # insists that its CUDA version be torch's, which a static cudart has no need of.
        cpp_extension.CUDA_HOME = str(toolkit.root)
        cpp_extension._check_cuda_version = lambda *_: None
        if EXPERIMENTAL and not {"sm_90", "sm_90a"} & set(toolkit.architectures):
            sys.exit(
                "fused_rankloss: FUSED_RANKLOSS_EXPERIMENTAL=1: expected 9.0 among the "
                f"architectures, got {' '.join(toolkit.architectures)} (TORCH_CUDA_ARCH_LIST)."
            )
        # Any architecture flag stops torch from asking the local GPU, of which there may be none.
        cuda.extra_compile_args["nvcc"] = [*NVCC_FLAGS, *toolkit.architecture_flags]
        cuda.library_dirs += map(str, toolkit.library_folders)

    @contextlib.contextmanager
    def _reporting_nvcc(self):
        """Lets torch run nvcc through ptxas_report.py, together with any ccache of its own."""
        given = os.environ.copy()
        wrap = getattr(cpp_extension, "_wrap_compiler", lambda compiler: [compiler])
        nvcc = given.get("PYTORCH_NVCC")
        nvcc = shlex.split(nvcc) if nvcc else wrap(str(self.toolkit.nvcc))
        command = shlex.join([sys.executable, ptxas_report.__file__, *nvcc])
        os.environ["PYTORCH_NVCC"] = command.replace("$", "$$")  # it goes into ninja's file
        # Only a torch with CUDA would have nvcc list the headers: ptxas_report.py does for any.
        os.environ["TORCH_EXTENSION_SKIP_NVCC_GEN_DEPENDENCIES"] = "1"
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(given)

    def _objects(self, ext) -> list[Path]:
        return [Path(self.build_temp, source).with_suffix(".o") for source in ext.sources]

    def _first_nvcc_error(self, ext) -> str | None:
        left = map(ptxas_report.error_beside, self._objects(ext))
        return next((path.read_text(encoding="utf-8") for path in left if path.exists()), None)

    def _write_ptxas_report(self, ext):
        tables = [ptxas_report.read(ptxas_report.path_beside(path)) for path in self._objects(ext)]
        ptxas_report.write(self._ptxas_report_path(), itertools.chain(*tables))

    def _ptxas_report_path(self) -> Path:
        return Path(self.get_ext_fullpath("fused_rankloss._cuda")).with_name(PTXAS_REPORT)

    def copy_extensions_to_source(self):
        """What an in-place build ends with: the report goes where the extensions go."""
        super().copy_extensions_to_source()
        if self.toolkit:
            build_py = self.get_finalized_command("build_py")
            target = Path(build_py.get_package_dir("fused_rankloss"), PTXAS_REPORT)
            shutil.copyfile(self._ptxas_report_path(), target)

    def _remove_outdated_objects(self, ext):
        """ninja compares a .cu file and its command alone; what it includes is looked at here."""
        for compiled in self._objects(ext):
            if compiled.exists() and ptxas_report.is_outdated(compiled):
                compiled.unlink()

    def _write_build_facts(self) -> Path:
        """A folder with two things for csrc/module.cpp: a header of what build_info() reports, and
        pybind11. Build isolation puts pybind11 in another folder each time; a link from this one
        keeps the commands of all files the same, so that nothing else is compiled again."""
        import pybind11

        folder = Path(self.build_temp).absolute() / "generated"
        folder.mkdir(parents=True, exist_ok=True)
        link = folder / "pybind11"
        link.unlink(missing_ok=True)
        link.symlink_to(Path(pybind11.get_include(), "pybind11"))
        facts = {
            "FUSED_RANKLOSS_VERSION": self.distribution.get_version(),
            "FUSED_RANKLOSS_CUDA_TOOLKIT": self.toolkit.version if self.toolkit else "",
            "FUSED_RANKLOSS_CUDA_ARCHITECTURES": (
                " ".join(self.toolkit.architectures) if self.toolkit else ""
            ),
            "FUSED_RANKLOSS_CUDA_SKIPPED": self.cuda_skipped or "",
        }
        # json.dumps of ASCII text is also a C++ string literal.
        text = "".join(
            f"#define {name} {json.dumps(value.encode('ascii', 'replace').decode())}\n"
            for name, value in facts.items()
        )
        header = folder / "build_facts.h"
        if not header.is_file() or header.read_text(encoding="ascii") != text:
            header.write_text(text, encoding="ascii")  # only then: ninja recompiles by date
        return folder

    def _announcement(self) -> str:
        """What is compiled, for what, and how long that takes, roughly."""
        jobs = _jobs()
        missing, present, seconds = [], [], 0
        for ext in self.extensions:
            compiled = self._objects(ext)
            count = sum(not path.exists() for path in compiled)
            kind, each = "C++ files", CXX_SECONDS
            if ext.name == "fused_rankloss._cuda":
                names = self.toolkit.architectures
                kind = f"CUDA files for {' '.join(names)}"
                # The PTX of an architecture is made on the way to its machine code.
                numbers = {name.rpartition("_")[2] for name in names}
                each = NVCC_SECONDS + ARCHITECTURE_SECONDS * len(numbers)
            if count:
                missing.append(f"{count} {kind}")
            present.append(f"{len(compiled)} {kind}")
            seconds += count * each
        said = "fused_rankloss: compiling "
        if missing:
            said += f"{' and '.join(missing)}, about {_minutes(seconds / jobs)} on {jobs} core"
            said += "s" if jobs > 1 else ""
        else:
            said += f"what has changed of {' and '.join(present)}"
        if self.cuda_skipped:
            said += f"; no CUDA kernels, because {self.cuda_skipped}"
        return said

    def _summary(self) -> str:
        if self.toolkit:
            return (
                f"fused_rankloss: built with CUDA {self.toolkit.version} kernels for "
                + " ".join(self.toolkit.architectures)
            )
        return f"fused_rankloss: built for the CPU only, because {self.cuda_skipped}"


@contextlib.contextmanager
def _keeping_stderr(lines: list[str]) -> Iterator[None]:
    """Collects what programs print on stderr, the linker's message among it, and prints it then."""
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            kept.seek(0)
            text = kept.read().decode(errors="replace")
            lines += text.splitlines()
            print(text, end="", file=sys.stderr, flush=True)


def _jobs() -> int:
    """How many compilers may run at once."""
    asked = os.environ.get("MAX_JOBS", "")
    return int(asked) if asked.isdigit() and int(asked) else len(os.sched_getaffinity(0))


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def _devices() -> list[tuple[int, int]]:
    """The compute capabilities of the GPUs that this process sees."""
    if not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_capability(i) for i in range(torch.cuda.device_count())]


def _cuda_mode() -> str:
    mode = os.environ.get("FUSED_RANKLOSS_CUDA", "auto")
    if mode not in ("auto", "0", "1"):
        sys.exit(f"fused_rankloss: FUSED_RANKLOSS_CUDA: expected auto, 0 or 1, got {mode!r}.")
    return mode


def _require_compiler():
    """Ends the build in one sentence where there is no C++20 compiler to build with."""
    compiler = os.environ.get("CXX", "c++")
    command = [*shlex.split(compiler), "-std=c++20", "-fsyntax-only", "-x", "c++", os.devnull]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    except OSError as error:
        sys.exit(
            f"fused_rankloss: building needs a C++20 compiler such as g++ 11, but {compiler!r} "
            f"cannot be started ({error.strerror}). Install one (Debian, Ubuntu: apt install g++) "
            "or name one in $CXX."
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        sys.exit(
            f"fused_rankloss: building needs a C++20 compiler such as g++ 11, but {compiler!r} "
            f"does not compile an empty C++20 file: {lines[-1] if lines else 'it printed nothing'}"
        )
