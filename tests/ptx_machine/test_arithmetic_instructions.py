"""Instructions of one lane against values of the PTX ISA, where it differs from C++ above all.

A row: the instruction, bits of its result and operands, then operands and what they give.
"""

from __future__ import annotations

import math

import pytest
from machine import Machine
from ptx_text import bf16, evaluate, f16, f32, f64

INF, NAN = math.inf, math.nan
CANONICAL = 0x7FFFFFFF
PAYLOAD = 0x7FC12345  # a NaN with a payload
NEGATIVE = 0xFFC00001
SMALLEST = 1  # the smallest subnormal number
B32, B64 = (32,) * 3, (64,) * 3
M1 = 2**32 - 1
M1_64 = 2**64 - 1

ROWS = [
    # fp32 arithmetic makes every NaN canonical, also where it changes nothing.
    ("add.f32", B32, [(f32(1), f32(2), f32(3)), (PAYLOAD, f32(0), CANONICAL)]),
    ("add.f32", B32, [(f32(INF), f32(-INF), CANONICAL), (f32(-0.0), f32(0), f32(0))]),
    ("sub.f32", B32, [(f32(1), f32(3), f32(-2)), (f32(1), NEGATIVE, CANONICAL)]),
    ("mul.f32", B32, [(f32(3), f32(-2), f32(-6)), (f32(0), f32(INF), CANONICAL)]),
    ("mul.f32", B32, [(NEGATIVE, f32(1), CANONICAL), (SMALLEST, f32(1), SMALLEST)]),
    (
        "fma.rn.f32",
        (32,) * 4,
        [
            (f32(2), f32(3), f32(4), f32(10)),
            (f32(2), f32(3), PAYLOAD, CANONICAL),
            # 1 - 2^-46, which a product of its own would lose
            (f32(1 + 2**-23), f32(1 - 2**-23), f32(-1), f32(-(2.0**-46))),
        ],
    ),
    ("add.ftz.f32", B32, [(SMALLEST, f32(0), 0), (0x80000001, f32(-0.0), 0x80000000)]),
    ("add.sat.f32", B32, [(f32(2), f32(1), f32(1)), (f32(-2), f32(1), 0), (PAYLOAD, 0, 0)]),
    ("add.rz.f32", B32, [(f32(1), f32(2**-24 + 2**-30), f32(1))]),
    ("add.rp.f32", B32, [(f32(1), f32(2.0**-60), f32(1 + 2**-23))]),
    ("add.rm.f32", B32, [(f32(1), f32(-(2.0**-60)), f32(1 - 2**-24))]),
    ("mul.rz.f32", B32, [(f32(1 + 2**-23), f32(1 + 2**-23), f32(1 + 2**-22))]),
    ("mul.rp.f64", B64, [(f64(1 + 2**-52), f64(1 + 2**-52), f64(1 + 2**-51 + 2**-52))]),
    # fp64 keeps payloads.
    ("add.f64", B64, [(f64(1), f64(2), f64(3)), (0x7FF8000000001234, f64(1), 0x7FF8000000001234)]),
    ("fma.rn.f64", (64,) * 4, [(f64(2), f64(3), f64(4), f64(10))]),
    # The operand that is a number; -0 is below +0; two NaN give the canonical one.
    ("min.f32", B32, [(PAYLOAD, f32(3), f32(3)), (f32(3), PAYLOAD, f32(3))]),
    ("min.f32", B32, [(PAYLOAD, NEGATIVE, CANONICAL), (f32(0), f32(-0.0), f32(-0.0))]),
    ("max.f32", B32, [(f32(-0.0), f32(0), f32(0)), (NEGATIVE, f32(-INF), f32(-INF))]),
    ("max.f64", B64, [(f64(NAN), f64(-1), f64(-1)), (f64(-0.0), f64(0), f64(0))]),
    ("min.s32", B32, [(M1, 1, M1)]),
    ("min.u32", B32, [(M1, 1, 1)]),
    ("neg.f32", (32, 32), [(f32(2), f32(-2)), (0, 0x80000000)]),
    ("abs.f32", (32, 32), [(f32(-2), f32(2)), (0x80000000, 0)]),
    ("abs.s32", (32, 32), [(M1, 1), (1 << 31, 1 << 31)]),
    ("sqrt.rn.f32", (32, 32), [(f32(2), f32(2**0.5)), (f32(-1), CANONICAL)]),
    ("rcp.rn.f64", (64, 64), [(f64(3), f64(1 / 3)), (f64(-0.0), f64(-INF))]),
    ("div.rn.f32", B32, [(f32(1), f32(3), f32(1 / 3)), (0, 0, CANONICAL)]),
    ("copysign.f32", B32, [(f32(-1), f32(2), f32(-2))]),
    # Approximations are exact at these points alone.
    ("ex2.approx.ftz.f32", (32, 32), [(f32(0), f32(1)), (f32(-INF), 0), (PAYLOAD, CANONICAL)]),
    ("lg2.approx.f32", (32, 32), [(f32(1), 0), (f32(0), f32(-INF)), (f32(-1), CANONICAL)]),
    ("rcp.approx.ftz.f32", (32, 32), [(f32(INF), 0), (f32(-0.0), f32(-INF)), (SMALLEST, f32(INF))]),
    # div.full and div.approx: a divisor beyond 2^126 gives 0.
    (
        "div.full.f32",
        B32,
        [(f32(2.0**120), f32(2.0**127), 0), (f32(INF), f32(2.0**127), CANONICAL)],
    ),
    # Integers wrap.
    ("add.s32", B32, [(2**31 - 1, 1, 1 << 31)]),
    ("add.sat.s32", B32, [(2**31 - 1, 1, 2**31 - 1), (1 << 31, M1, 1 << 31)]),
    ("sub.s64", B64, [(0, 1, M1_64)]),
    ("add.u16", (16,) * 3, [(65535, 2, 1)]),
    ("mul.lo.s32", B32, [(M1, 5, 2**32 - 5)]),
    ("mul.hi.u32", B32, [(M1, M1, M1 - 1)]),
    ("mul.hi.s32", B32, [(M1, M1, 0)]),
    ("mul.hi.u64", B64, [(M1_64, M1_64, M1_64 - 1)]),
    ("mul.hi.s64", B64, [(M1_64, 1, M1_64)]),
    ("mul.wide.u32", (64, 32, 32), [(M1, M1, M1 * M1)]),
    ("mul.wide.s32", (64, 32, 32), [(M1, 5, 2**64 - 5)]),
    ("mul.wide.u16", (32, 16, 16), [(65535, 65535, 65535**2)]),
    ("mad.lo.s32", (32,) * 4, [(3, 4, 5, 17)]),
    ("mad.wide.u32", (64, 32, 32, 64), [(M1, 2, 3, 2 * M1 + 3)]),
    ("mad.hi.u32", (32,) * 4, [(M1, 2, 7, 8)]),
    ("div.s32", B32, [(2**32 - 7, 2, 2**32 - 3)]),
    ("rem.s32", B32, [(2**32 - 7, 2, M1)]),
    ("rem.u64", B64, [(10, 4, 2)]),
    ("sad.s32", (32,) * 4, [(M1, 2, 10, 13)]),
    # Shifts by the width or more are clamped.
    ("shl.b32", B32, [(1, 31, 1 << 31), (1, 32, 0), (1, M1, 0)]),
    ("shr.u32", B32, [(M1, 31, 1), (M1, 32, 0)]),
    ("shr.s32", B32, [(1 << 31, 40, M1)]),
    ("shr.s64", (64, 64, 32), [(1 << 63, 63, M1_64)]),
    ("shf.l.wrap.b32", (32,) * 4, [(1 << 31, 5, 1, 11), (7, 9, 32, 9)]),
    ("shf.l.clamp.b32", (32,) * 4, [(7, 9, 40, 7)]),
    ("shf.r.wrap.b32", (32,) * 4, [(6, 1, 1, (1 << 31) + 3)]),
    ("shf.r.clamp.b32", (32,) * 4, [(6, 9, 50, 9)]),
    ("and.b32", B32, [(12, 10, 8)]),
    ("or.b64", B64, [(12, 10, 14)]),
    ("xor.b32", B32, [(12, 10, 6)]),
    ("not.b32", (32, 32), [(0, M1)]),
    ("cnot.b32", (32, 32), [(0, 1), (7, 0)]),
    ("lop3.b32 {d}, {a}, {b}, {c}, 0x96", (32,) * 4, [(12, 10, 9, 12 ^ 10 ^ 9)]),
    ("lop3.b32 {d}, {a}, {b}, {c}, 0xE8", (32,) * 4, [(12, 10, 9, 8)]),  # the majority
    ("popc.b32", (32, 32), [(0xF0F, 8)]),
    ("popc.b64", (32, 64), [(M1_64, 64)]),
    ("clz.b32", (32, 32), [(1, 31), (0, 32)]),
    ("clz.b64", (32, 64), [(1, 63), (0, 64)]),
    ("brev.b32", (32, 32), [(1, 1 << 31), (6, 3 << 29)]),
    ("brev.b64", (64, 64), [(1, 1 << 63)]),
    ("bfind.u32", (32, 32), [(0x80, 7), (0, M1)]),
    ("bfind.s32", (32, 32), [(M1, M1), (2**32 - 9, 3)]),
    ("bfind.shiftamt.u32", (32, 32), [(0x80, 24), (0, M1)]),
    ("bfe.u32", (32,) * 4, [(0xABCD, 4, 8, 0xBC), (M1, 28, 8, 15), (M1, 32, 1, 0)]),
    ("bfe.s32", (32,) * 4, [(0xF0, 4, 4, M1), (0x70, 4, 4, 7), (1 << 31, 40, 1, M1)]),
    ("bfi.b32 {d}, {a}, {b}, 4, {c}", (32,) * 4, [(0xFF, 0, 4, 0xF0), (0xFF, 5, 0, 5)]),
    ("prmt.b32", (32,) * 4, [(0x33221100, 0x77665544, 0x7531, 0x77553311)]),
    ("prmt.b32", (32,) * 4, [(0x80, 0, 0x8888, M1), (0x70, 0, 0x8888, 0)]),
    ("bmsk.clamp.b32", B32, [(4, 8, 0xFF0), (30, 9, 3 << 30), (33, 1, 0)]),
    # Comparisons: ordered ones are false of NaN, unordered ones true.
    ("setp.eq.f32", (1, 32, 32), [(f32(1), f32(1), 1), (PAYLOAD, PAYLOAD, 0), (0, 1 << 31, 1)]),
    ("setp.ne.f32", (1, 32, 32), [(f32(1), f32(2), 1), (PAYLOAD, f32(1), 0)]),
    ("setp.neu.f32", (1, 32, 32), [(PAYLOAD, f32(1), 1), (f32(1), f32(1), 0)]),
    ("setp.equ.f32", (1, 32, 32), [(PAYLOAD, f32(1), 1), (f32(2), f32(1), 0)]),
    ("setp.ltu.f64", (1, 64, 64), [(f64(NAN), f64(1), 1), (f64(2), f64(1), 0)]),
    ("setp.geu.f64", (1, 64, 64), [(f64(NAN), f64(1), 1), (f64(0), f64(1), 0)]),
    ("setp.num.f32", (1, 32, 32), [(f32(1), PAYLOAD, 0), (f32(1), f32(1), 1)]),
    ("setp.nan.f32", (1, 32, 32), [(f32(1), PAYLOAD, 1), (f32(1), f32(1), 0)]),
    ("setp.lt.s32", (1, 32, 32), [(M1, 1, 1)]),
    ("setp.lo.u32", (1, 32, 32), [(M1, 1, 0)]),
    ("setp.lt.and.s32", (1, 32, 32, 1), [(1, 2, 1, 1), (1, 2, 0, 0)]),
    ("selp.b32", (32, 32, 32, 1), [(5, 6, 1, 5), (5, 6, 0, 6)]),
    # Conversions. Out of range is the nearest; NaN is 0, or the highest bit with 64 bits on a side.
    ("cvt.rni.s32.f32", (32, 32), [(f32(2.5), 2), (f32(3.5), 4), (f32(-2.5), 2**32 - 2)]),
    ("cvt.rzi.s32.f32", (32, 32), [(f32(-2.9), 2**32 - 2), (f32(1e20), 2**31 - 1), (PAYLOAD, 0)]),
    ("cvt.rmi.s32.f32", (32, 32), [(f32(-2.1), 2**32 - 3)]),
    ("cvt.rpi.s32.f64", (32, 64), [(f64(2.1), 3), (f64(-1e20), 1 << 31), (f64(NAN), 1 << 31)]),
    ("cvt.rzi.u32.f32", (32, 32), [(f32(-5), 0), (f32(1e20), M1)]),
    ("cvt.rzi.s64.f32", (64, 32), [(f32(-2), 2**64 - 2), (PAYLOAD, 1 << 63)]),
    ("cvt.rzi.u64.f64", (64, 64), [(f64(2.0**63), 1 << 63), (f64(1e30), M1_64)]),
    ("cvt.rn.f32.s32", (32, 32), [(M1, f32(-1)), (2**24 + 1, f32(2.0**24))]),
    ("cvt.rp.f32.u32", (32, 32), [(2**24 + 1, f32(2**24 + 2))]),
    ("cvt.rn.f32.u64", (32, 64), [(M1_64, f32(2.0**64))]),
    ("cvt.rz.f32.u64", (32, 64), [(M1_64, f32(2.0**64 - 2.0**40))]),
    ("cvt.rn.f64.u64", (64, 64), [(M1_64, f64(2.0**64))]),
    ("cvt.rz.f64.u64", (64, 64), [(M1_64, f64(2.0**64 - 2.0**11))]),
    ("cvt.rn.f64.s64", (64, 64), [(M1_64, f64(-1))]),
    ("cvt.f64.f32", (64, 32), [(f32(0.5), f64(0.5)), (f32(-INF), f64(-INF))]),
    ("cvt.rn.f32.f64", (32, 64), [(f64(1 + 2**-24), f32(1)), (f64(NAN), CANONICAL)]),
    ("cvt.rp.f32.f64", (32, 64), [(f64(1 + 2**-50), f32(1 + 2**-23)), (f64(1e300), f32(INF))]),
    ("cvt.rz.f32.f64", (32, 64), [(f64(1e300), 0x7F7FFFFF), (f64(2.0**-149), 1)]),
    ("cvt.rn.f16.f32", (16, 32), [(f32(1.5), f16(1.5)), (f32(65520), f16(INF)), (PAYLOAD, 0x7FFF)]),
    ("cvt.rn.f16.f32", (16, 32), [(f32(2.0**-24), 1), (f32(2.0**-25), 0), (f32(65519), 0x7BFF)]),
    ("cvt.rz.f16.f32", (16, 32), [(f32(65520), 0x7BFF), (f32(1 + 2**-11), f16(1))]),
    ("cvt.rn.f16.f64", (16, 64), [(f64(1 + 2**-11 + 2**-40), f16(1 + 2**-10))]),
    ("cvt.f32.f16", (32, 16), [(f16(-1.5), f32(-1.5)), (1, f32(2.0**-24)), (f16(INF), f32(INF))]),
    ("cvt.rn.bf16.f32", (16, 32), [(f32(1 + 2**-8), bf16(1)), (NEGATIVE, 0x7FFF)]),
    ("cvt.rz.bf16.f32", (16, 32), [(f32(1 + 2**-7 - 2**-20), bf16(1))]),
    ("cvt.f32.bf16", (32, 16), [(bf16(-2), f32(-2))]),
    ("cvt.rn.f16x2.f32", B32, [(f32(1), f32(2), f16(1) << 16 | f16(2))]),
    ("cvt.rn.bf16x2.f32", B32, [(f32(1), f32(2), bf16(1) << 16 | bf16(2))]),
    ("cvt.rni.f32.f32", (32, 32), [(f32(2.5), f32(2)), (f32(-0.25), f32(-0.0))]),
    ("cvt.sat.f32.f32", (32, 32), [(f32(2), f32(1)), (f32(-1), 0), (PAYLOAD, 0)]),
    ("cvt.ftz.f32.f32", (32, 32), [(SMALLEST, 0)]),
    ("cvt.s64.s32", (64, 32), [(M1, M1_64)]),
    ("cvt.u64.u32", (64, 32), [(M1, M1)]),
    ("cvt.u32.u64", (32, 64), [(2**40 + 5, 5)]),
    ("cvt.s32.s8", (32, 32), [(0x180, 2**32 - 128)]),
    ("cvt.u32.u16", (32, 16), [(65535, 65535)]),
    ("cvt.s32.s16", (32, 16), [(65535, M1)]),
    ("cvt.u16.u32", (16, 32), [(0x12345, 0x2345)]),
    # The carry flag, within one kernel.
    ("add.cc.u32 {d}, {a}, {b}; addc.u32 {d}, 0, 0", B32, [(M1, 1, 1), (1, 1, 0)]),
    ("sub.cc.u32 {d}, {a}, {b}; subc.u32 {d}, 5, 0", B32, [(0, 1, 4), (1, 1, 5)]),
    ("mad.lo.cc.u32 {d}, {a}, {b}, {a}; addc.u32 {d}, 0, 0", B32, [(M1, 1, 1), (2, 3, 0)]),
    ("mov.b64 {d}, {{{a}, {b}}}", (64, 32, 32), [(5, 6, 6 << 32 | 5)]),
    ("mov.b32 {d}, {{{a}, {b}}}", (32, 16, 16), [(5, 6, 6 << 16 | 5)]),
    ("mov.b64 {{_, {d}}}, {a}", (32, 64), [(6 << 32 | 5, 6)]),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_values(ptx_texts: Machine, row) -> None:
    instruction, widths, cases = row
    got = evaluate(ptx_texts, instruction, widths, [case[:-1] for case in cases])
    assert [hex(bits) for bits in got] == [hex(case[-1]) for case in cases]


def test_approximations_are_within_one_ulp(ptx_texts: Machine) -> None:
    """And, by the seed, not the nearest number: nothing may rest on that."""
    ptx_texts.set(rounding_noise=1)
    values = [f32(1 + k / 32) for k in range(32)]
    off = [
        bits - f32(1 / (1 + k / 32))
        for k, bits in enumerate(
            evaluate(ptx_texts, "rcp.approx.ftz.f32", (32, 32), [(v,) for v in values])
        )
    ]
    assert set(off) == {-1, 0, 1}


@pytest.mark.parametrize("instruction", ["frobnicate.b32", "add.f16x2", "min.NaN.f32"])
def test_unknown_instructions_are_refused(ptx_texts: Machine, instruction: str) -> None:
    with pytest.raises(AssertionError, match="not known to the machine"):
        evaluate(ptx_texts, instruction, B32, [(0, 0)])
