"""Loads the compiled half of the package and reports what it supports.

`_C` is required: it has the ops and their CPU kernels. `_cuda` is optional, and loaded only if this
torch has CUDA. The reason for which it was not loaded is kept for error messages. Loading does not
initialise CUDA.
"""

import importlib.util
import threading
from pathlib import Path
from typing import Any

import torch

_PACKAGE = Path(__file__).resolve().parent
_BUILD_COMMAND = "pip install --no-cache-dir --force-reinstall --no-deps ."


def _explain_missing_core(error: ImportError) -> str:
    """One message for a `_C` that is absent, built for another Python, or does not load."""
    if importlib.util.find_spec("fused_rankloss._C") is not None:
        return (
            f"fused_rankloss._C in {_PACKAGE} does not load with torch {torch.__version__}: "
            f"{error}. Rebuild it from the source folder: {_BUILD_COMMAND}"
        )
    others = ", ".join(sorted(path.name for path in _PACKAGE.glob("_C.*.so")))
    if others:
        return (
            f"fused_rankloss._C in {_PACKAGE} was built for another Python: there is {others}. "
            f"Rebuild it with this one, from the source folder: {_BUILD_COMMAND}"
        )
    if (_PACKAGE.parent / "csrc" / "module.cpp").is_file():
        return (
            f"fused_rankloss was imported from its source folder {_PACKAGE.parent}, which has no "
            "compiled module. If the package is installed, this folder hides it: run from another "
            "folder, and `pytest` rather than `python -m pytest`. To use the source folder itself, "
            "build in it: pip install -e ."
        )
    return f"fused_rankloss._C is missing from {_PACKAGE}. Reinstall it: {_BUILD_COMMAND}"


def _load_cuda_kernels() -> str | None:
    """Loads `_cuda`. Returns None if that worked, else why not and what to do about it."""
    info = _C.build_info()
    rebuild = (
        "rebuild the package from its source folder, with the nvcc of CUDA 12.4 or newer on the "
        f"PATH or its toolkit in $CUDA_HOME: FUSED_RANKLOSS_CUDA=1 {_BUILD_COMMAND}"
    )
    if info["cuda_toolkit"] is None:
        torch_first = "" if torch.version.cuda else "install a torch that has CUDA, and "
        return (
            f"it was built for the CPU only, because {info['cuda_skipped']}; {torch_first}{rebuild}"
        )
    if torch.version.cuda is None:
        return (
            f"torch {torch.__version__} has no CUDA; install one that has, and should they still "
            f"not load then, {rebuild}"
        )
    spec = importlib.util.find_spec("fused_rankloss._cuda")
    if spec is None or spec.origin is None:
        return f"the compiled file _cuda is missing from {_PACKAGE}; {rebuild}"
    try:
        torch.ops.load_library(spec.origin)
    except OSError as error:
        return f"{spec.origin} does not load with torch {torch.__version__}: {error}; {rebuild}"
    return None


try:
    from fused_rankloss import _C
except ImportError as error:
    raise ImportError(_explain_missing_core(error), name="fused_rankloss._C") from error

_cuda_unavailable_reason = _load_cuda_kernels()

if threading.current_thread() is threading.main_thread():
    _C.poll_signals()  # Python runs signal handlers on its main thread alone


def take_interruption() -> BaseException | None:
    """What a signal handler has raised while an op ran, and which the op could not pass on."""
    return _C.take_interruption()


def build_info() -> dict[str, Any]:
    """Says how the package was compiled and what of it is loaded.

    Returns:
        A new dict with the keys

        - ``version``: of the package, ``"0.1.0"``
        - ``compiler``: of the C++ code, ``"g++ 12.2.0"``
        - ``torch_target``: the oldest torch that the build runs on, ``"2.11"``
        - ``cpu_isa``: instruction set of the direct pair loops, chosen for this processor:
          ``"baseline"``, ``"avx2"`` or ``"avx512"``
        - ``torch``: the version of torch now running
        - ``cuda_toolkit``: CUDA toolkit that compiled the CUDA kernels, ``"13.0"``; None without.
          12.4 is the oldest that does
        - ``cuda_architectures``: what they were compiled for, ``["sm_80", "sm_90", "compute_90"]``:
          machine code for GPUs of that compute capability (8.0) and later minor ones (8.6), and
          PTX that any later GPU compiles when it first needs it. ``"sm_75"`` is the oldest
        - ``experimental``: whether it was built with ``FUSED_RANKLOSS_EXPERIMENTAL=1``
        - ``cuda_loaded``: whether CUDA tensors can be used
        - ``cuda_unavailable_reason``: why not, and what to do about it; None if they can
    """
    info = _C.build_info()
    del info["cuda_skipped"]  # it is part of the reason below
    return {
        **info,
        "cuda_architectures": info["cuda_architectures"],
        "torch": torch.__version__,
        "cuda_loaded": _cuda_unavailable_reason is None,
        "cuda_unavailable_reason": _cuda_unavailable_reason,
    }


def require_cuda(function_name: str) -> None:
    """Raises unless the CUDA kernels are loaded.

    Args:
        function_name: the function that was given CUDA tensors, for the message.

    Raises:
        RuntimeError: they are not; the message says why, and how to rebuild the package.
    """
    if _cuda_unavailable_reason is not None:
        raise RuntimeError(
            f"{function_name}: got CUDA tensors, but this installation of fused_rankloss has no "
            f"CUDA kernels: {_cuda_unavailable_reason}"
        )
