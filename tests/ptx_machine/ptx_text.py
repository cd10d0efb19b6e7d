"""Small PTX texts: a kernel around a few instructions, and the bits of numbers."""

from __future__ import annotations

import struct

import torch
from machine import Machine
from torch import Tensor

HEAD = """
.version 8.0
.target sm_90a
.address_size 64
"""

INTEGERS = {8: torch.uint8, 16: torch.int16, 32: torch.int32, 64: torch.int64}


def f32(value: float) -> int:
    return struct.unpack("<I", struct.pack("<f", value))[0]


def f64(value: float) -> int:
    return struct.unpack("<Q", struct.pack("<d", value))[0]


def f16(value: float) -> int:
    return struct.unpack("<H", struct.pack("<e", value))[0]


def bf16(value: float) -> int:
    """Of a number that bf16 holds."""
    assert f32(value) % 2**16 == 0
    return f32(value) >> 16


def unsigned(values: Tensor) -> list[int]:
    bits = 8 * values.itemsize
    return [value % 2**bits for value in values.flatten().tolist()]


def signed(value: int, bits: int) -> int:
    value %= 2**bits
    return value - 2**bits if bits > 8 and value >= 2 ** (bits - 1) else value


def column(values: list[int], bits: int, length: int = 32) -> Tensor:
    """Integers as a tensor of that width, zeros behind them."""
    padded = [*values, *[0] * (length - len(values))]
    return torch.tensor([signed(value, bits) for value in padded], dtype=INTEGERS[bits])


def kernel(body: str, buffers: int, declarations: str = "") -> str:
    """A kernel that has the address of buffer i in %rd<i> and the thread in %r0."""
    parameters = ", ".join(f".param .u64 p{i}" for i in range(buffers))
    loads = "\n".join(f"  ld.param.u64 %rd{i}, [p{i}];" for i in range(buffers))
    return f"""{HEAD}
{declarations}
.visible .entry kernel({parameters})
{{
  .reg .pred %p<8>;
  .reg .b16 %h<16>;
  .reg .b32 %r<32>;
  .reg .f32 %f<32>;
  .reg .b64 %rd<32>;
{loads}
  mov.u32 %r0, %tid.x;
{body}
  ret;
}}
"""


def lane_address(register: str, buffer: int, bytes_each: int) -> str:
    """register = the address of this thread's element of a buffer."""
    return f"  mad.wide.u32 {register}, %r0, {bytes_each}, %rd{buffer};\n"


def evaluate(
    machine: Machine, instruction: str, widths: tuple[int, ...], operands: list[tuple[int, ...]]
) -> list[int]:
    """The bits of d after `<instruction> d, a, b, c;`, for up to 32 sets of operands.

    ``widths``: bits of d, a, b, c; 1 is a predicate. ``instruction`` may name the operands itself.
    """
    names = {8: "%h", 16: "%h", 32: "%r", 64: "%rd"}
    types = {8: "u8", 16: "u16", 32: "b32", 64: "b64"}
    body, registers = "", []
    for k, width in enumerate(widths):
        stored = 32 if width == 1 else width
        register = f"{names[stored]}{10 + k}"
        if k > 0:
            body += lane_address("%rd9", k, stored // 8)
            body += f"  ld.global.{types[stored]} {register}, [%rd9];\n"
            if width == 1:
                body += f"  setp.ne.b32 %p{k}, {register}, 0;\n"
        registers.append(f"%p{k}" if width == 1 else register)
    if "{" not in instruction:
        instruction += " " + ", ".join(f"{{{'dabc'[k]}}}" for k in range(len(widths)))
    body += "  " + instruction.format(**dict(zip("dabc", registers, strict=False))) + ";\n"
    stored = 32 if widths[0] == 1 else widths[0]
    result = f"{names[stored]}10"
    if widths[0] == 1:
        body += f"  selp.b32 {result}, 1, 0, %p0;\n"
    body += lane_address("%rd9", 0, stored // 8)
    body += f"  st.global.{types[stored]} [%rd9], {result};\n"

    buffers = [torch.zeros(32, dtype=INTEGERS[stored])]
    for k, width in enumerate(widths[1:]):
        buffers.append(column([row[k] for row in operands], 32 if width == 1 else width))
    failure = machine.run_text(kernel(body, len(widths)), buffers)
    assert not failure, failure
    return unsigned(buffers[0])[: len(operands)]
