"""The project's CUDA launchers and kernels on CPU tensors: the machine, as Python sees it.

`machine/` executes the PTX that nvcc makes of csrc/cuda; `ptx_build.py` compiles both.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

import fused_rankloss.ops

OPS = (
    *("pairwise_forward", "lambda_forward", "listwise_forward", "lists_backward"),
    *("triplet_forward", "triplet_backward", "batch_triplet_forward", "batch_triplet_backward"),
)

# What a GPU is to the launchers. `large` is as sm_90 has it, `small` as the smaller chips of sm_86:
# few multiprocessors, less shared memory, slow fp64.
DEVICES = {
    "large": {
        "index": -1,
        "multiprocessors": 132,
        "shared_of_multiprocessor": 228 << 10,
        "shared_of_block": 227 << 10,
        "threads_of_multiprocessor": 2048,
        "major": 9,
        "minor": 0,
        "l2_bytes": 50 << 20,
        "float_to_double_ratio": 2,
    },
    "small": {
        "index": 0,
        "multiprocessors": 4,
        "shared_of_multiprocessor": 100 << 10,
        "shared_of_block": 99 << 10,
        "threads_of_multiprocessor": 1536,
        "major": 8,
        "minor": 6,
        "l2_bytes": 1 << 20,
        "float_to_double_ratio": 64,
    },
}

# How blocks, warps and lanes take turns.
SCHEDULES = {
    "steady": {"seed": 1, "quantum": 400, "resident_blocks": 6, "perturb": 0},
    "restless": {"seed": 2, "quantum": 30, "resident_blocks": 20, "perturb": 3},
}


class Kernel(NamedTuple):
    """What has run of a kernel."""

    name: str
    launches: int
    instructions: int
    reached: int
    length: int


class Machine:
    """The library, alone or with the kernels; its state is the process's."""

    def __init__(self, library: Path):
        self._lib = ctypes.CDLL(str(library))
        for name in (
            "end_op",
            "failure",
            "launches",
            "coverage",
            "unreached",
            "parse_all",
            "unwritten_loads",
        ):
            getattr(self._lib, f"ptx_{name}").restype = ctypes.c_char_p
        self._lib.ptx_run_text.restype = ctypes.c_char_p
        self._lib.ptx_set.restype = ctypes.c_bool

    def set(self, **settings: int) -> None:
        """Fields of `Settings` and `Device` of machine/settings.h."""
        for name, value in settings.items():
            if not self._lib.ptx_set(name.encode(), ctypes.c_int64(value)):
                raise ValueError(f"Machine.set: expected a setting of the machine, got {name!r}")

    def use(self, device: str, schedule: str) -> None:
        self.set(**DEVICES[device], **SCHEDULES[schedule])

    def failure(self) -> str:
        """What went wrong in the last launch that failed since the op began."""
        return self._lib.ptx_failure().decode()

    def launched(self) -> list[str]:
        """The kernels that the last op launched."""
        return self._lib.ptx_launches().decode().splitlines()

    def coverage(self) -> list[Kernel]:
        """Of every kernel of the build, run or not."""
        rows = [line.split("\t") for line in self._lib.ptx_coverage().decode().splitlines()]
        return [Kernel(name, *map(int, numbers)) for *numbers, name in rows]

    def unreached(self, part_of_name: str) -> str:
        """The instructions of kernels that never ran, with their source lines."""
        return self._lib.ptx_unreached(part_of_name.encode()).decode()

    def unwritten_loads(self) -> list[str]:
        """Loads of bytes that nothing had written: source line, kernel, instruction."""
        return self._lib.ptx_unwritten_loads().decode().splitlines()

    def parse_all(self) -> str:
        """Reads every kernel; what the machine does not know, in words."""
        return self._lib.ptx_parse_all().decode()

    def run_text(
        self,
        text: str,
        buffers: list[Tensor],
        *,
        threads: int = 32,
        blocks: int = 1,
        dynamic_shared: int = 0,
        tracked: bool = False,
        reachable: Sequence[Tensor] = (),
    ) -> str:
        """Runs the kernel of a PTX text, whose parameters are these buffers; what went wrong.

        ``tracked``: nothing of the buffers counts as written. ``reachable``: memory that it may
        reach beside them.
        """
        addresses = (ctypes.c_uint64 * len(buffers))(*(b.data_ptr() for b in buffers))
        for buffer in (*buffers, *reachable):
            begin, size = ctypes.c_uint64(buffer.data_ptr()), ctypes.c_uint64(buffer.nbytes)
            self._lib.ptx_add_memory(begin, size, tracked)
        failure = self._lib.ptx_run_text(text.encode(), addresses, blocks, threads, dynamic_shared)
        for buffer in (*buffers, *reachable):
            self._lib.ptx_remove_memory(ctypes.c_uint64(buffer.data_ptr()))
        return failure.decode()

    def tensor_map(self, matrix: Tensor, box: tuple[int, int], *, swizzle: bool) -> Tensor:
        """The 128 bytes that cuTensorMapEncodeTiled makes for boxes (rows, columns) of a matrix of
        16-bit numbers, as the launchers ask for it.

        Raises:
            ValueError: the driver's function refuses.
        """
        encode, found = ctypes.c_void_p(), ctypes.c_int()
        self._lib.cudaGetDriverEntryPointByVersion(
            b"cuTensorMapEncodeTiled",
            *(ctypes.byref(encode), 12000, ctypes.c_ulonglong(0), ctypes.byref(found)),
        )
        signature = ctypes.CFUNCTYPE(
            *(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32, ctypes.c_void_p),
            *[ctypes.c_void_p] * 4,
            *[ctypes.c_int] * 4,
        )
        fp16, swizzle_128b, promotion = 6, 3, 3  # of cuda.h
        tensor_map = torch.zeros(16, dtype=torch.int64)
        error = signature(encode.value)(
            *(tensor_map.data_ptr(), fp16, 2, matrix.data_ptr()),
            (ctypes.c_uint64 * 2)(matrix.shape[1], matrix.shape[0]),
            (ctypes.c_uint64 * 1)(matrix.stride(0) * matrix.itemsize),
            (ctypes.c_uint32 * 2)(box[1], box[0]),
            (ctypes.c_uint32 * 2)(1, 1),
            *(0, swizzle_128b if swizzle else 0, promotion, 0),
        )
        if error:
            raise ValueError(f"cuTensorMapEncodeTiled: CUDA error {error}")
        return tensor_map


class Kernels(Machine):
    """The machine with the project's kernels: each op as its CUDA launcher computes it."""

    def __init__(self, library: Path):
        torch.ops.load_library(str(library))
        super().__init__(library)
        self._ops = torch.ops.fused_rankloss_ptx

    def op(self, name: str):
        """The op, of CPU tensors. A fault of a kernel is a RuntimeError, as CUDA's would be."""
        launcher = getattr(self._ops, name)

        def call(*arguments):
            self._lib.ptx_install()
            try:
                moved = [self._moved(a) if isinstance(a, Tensor) else a for a in arguments]
                self._lib.ptx_begin_op()
                failed = True
                try:
                    results = launcher(*moved)
                    failed = False
                finally:
                    lacking = self._lib.ptx_end_op(failed).decode()
            finally:
                self._lib.ptx_uninstall()
            assert not lacking, f"{name}: {lacking}launched: {self.launched()}"
            return results

        return call

    def replace_ops(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Lets the public functions compute CPU tensors with the kernels."""
        for name in OPS:
            monkeypatch.setattr(fused_rankloss.ops, name, self.op(name))

    @staticmethod
    def _moved(tensor: Tensor) -> Tensor:
        """A copy in memory whose ends the machine knows, aligned as the tensor is."""
        reach = 1 + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
        offset = tensor.data_ptr() % 16 // tensor.itemsize
        storage = torch.empty(offset + (reach if tensor.numel() else 0), dtype=tensor.dtype)
        copy = storage.as_strided(tensor.shape, tensor.stride(), offset)
        return copy.copy_(tensor)
