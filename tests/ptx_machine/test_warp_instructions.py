"""Instructions of whole warps and blocks: what lanes tell each other, and who waits for whom."""

from __future__ import annotations

import pytest
import torch
from machine import Machine
from ptx_text import kernel, lane_address, unsigned

ALL = "0xffffffff"
INACTIVE = 0xDEADBEEF  # what the machine gives for a lane that does not take part


def run(machine: Machine, body: str, *, threads: int = 32, values=None, expect: str = "") -> list:
    """%r1 = this thread's value, its number unless given; what the body leaves in %r2."""
    values = torch.arange(threads, dtype=torch.int32) if values is None else values
    result = torch.zeros(threads, dtype=torch.int32)
    text = lane_address("%rd8", 0, 4) + "  ld.global.u32 %r1, [%rd8];\n" + body
    text += lane_address("%rd9", 1, 4) + "  st.global.u32 [%rd9], %r2;\n"
    failure = machine.run_text(kernel(text, 2), [values, result], threads=threads)
    if expect:
        assert expect in failure
    else:
        assert not failure, failure
    return unsigned(result)


SHUFFLES = {
    # mode, b, c: the lane that lane i gets its value from
    "up-4-0": lambda i: i - 4 if i >= 4 else i,
    "down-4-31": lambda i: i + 4 if i + 4 <= 31 else i,
    "bfly-5-31": lambda i: i ^ 5,
    "idx-7-31": lambda i: 7,
    # segments of 8 lanes: c is clamp and, above, the mask of the segment
    f"up-3-{24 << 8}": lambda i: i - 3 if i % 8 >= 3 else i,
    f"down-3-{24 << 8 | 31}": lambda i: i + 3 if i % 8 + 3 <= 7 else i,
    f"idx-2-{24 << 8 | 31}": lambda i: i // 8 * 8 + 2,
}


@pytest.mark.parametrize("shuffle", SHUFFLES)
def test_shfl(ptx_texts: Machine, shuffle: str) -> None:
    mode, b, c = shuffle.split("-")
    values = torch.arange(32, dtype=torch.int32) * 3
    got = run(ptx_texts, f"shfl.sync.{mode}.b32 %r2, %r1, {b}, {c}, {ALL};", values=values)
    assert got == [3 * SHUFFLES[shuffle](i) for i in range(32)]


def test_shfl_says_who_was_in_range(ptx_texts: Machine) -> None:
    body = f"shfl.sync.down.b32 %r3|%p1, %r1, 4, 31, {ALL}; selp.b32 %r2, 1, 0, %p1;"
    assert run(ptx_texts, body) == [1] * 28 + [0] * 4


def test_a_lane_that_does_not_take_part_has_nothing_to_give(ptx_texts: Machine) -> None:
    body = """
    mov.b32 %r2, 0;
    setp.lt.u32 %p1, %r1, 8;
    @%p1 shfl.sync.bfly.b32 %r2, %r1, 8, 31, 0xff;"""
    assert run(ptx_texts, body) == [INACTIVE] * 8 + [0] * 24


VOTES = {
    "vote.sync.ballot.b32 %r2, %p1, 0xffffffff;": 0b11111,
    "vote.sync.any.pred %p2, %p1, 0xffffffff; selp.b32 %r2, 1, 0, %p2;": 1,
    "vote.sync.all.pred %p2, %p1, 0xffffffff; selp.b32 %r2, 1, 0, %p2;": 0,
    "vote.sync.uni.pred %p2, %p1, 0xffffffff; selp.b32 %r2, 1, 0, %p2;": 0,
    "vote.sync.all.pred %p2, !%p3, 0xffffffff; selp.b32 %r2, 1, 0, %p2;": 1,
    "vote.sync.uni.pred %p2, %p3, 0xffffffff; selp.b32 %r2, 1, 0, %p2;": 1,
}


@pytest.mark.parametrize("vote", VOTES)
def test_vote(ptx_texts: Machine, vote: str) -> None:
    body = f"setp.lt.u32 %p1, %r1, 5; setp.gt.u32 %p3, %r1, 99; {vote}"
    assert run(ptx_texts, body) == [VOTES[vote]] * 32


def test_match(ptx_texts: Machine) -> None:
    third = [sum(1 << j for j in range(32) if j % 3 == i % 3) for i in range(32)]
    body = f"rem.u32 %r3, %r1, 3; match.any.sync.b32 %r2, %r3, {ALL};"
    assert run(ptx_texts, body) == third
    body = f"rem.u32 %r3, %r1, 3; cvt.u64.u32 %rd7, %r3; match.any.sync.b64 %r2, %rd7, {ALL};"
    assert run(ptx_texts, body) == third
    body = f"match.all.sync.b32 %r2|%p1, %r1, {ALL};"
    assert run(ptx_texts, body) == [0] * 32
    body = f"mov.b32 %r3, 4; match.all.sync.b32 %r2|%p1, %r3, {ALL};"
    assert run(ptx_texts, body) == [2**32 - 1] * 32


@pytest.mark.parametrize(
    "operation, wanted",
    [("add.s32", sum(range(-5, 27))), ("min.s32", -5), ("max.s32", 26), ("max.u32", 2**32 - 1)]
    + [("or.b32", 2**32 - 1), ("and.b32", 0), ("xor.b32", 0)],
)
def test_redux(ptx_texts: Machine, operation: str, wanted: int) -> None:
    values = torch.arange(-5, 27, dtype=torch.int32)
    if operation.startswith("xor"):
        wanted = 0
        for value in values.tolist():
            wanted ^= value
    got = run(ptx_texts, f"redux.sync.{operation} %r2, %r1, {ALL};", values=values)
    assert got == [wanted % 2**32] * 32


def test_activemask_and_elect(ptx_texts: Machine) -> None:
    body = "mov.b32 %r2, 0; setp.lt.u32 %p1, %r1, 4; @%p1 activemask.b32 %r2;"
    assert run(ptx_texts, body) == [15] * 4 + [0] * 28
    body = f"elect.sync %r3|%p1, {ALL}; selp.b32 %r2, 1, 0, %p1;"
    assert run(ptx_texts, body) == [1] + [0] * 31


def test_diverged_lanes_meet_again(ptx_texts: Machine) -> None:
    body = f"""
    and.b32 %r3, %r1, 1;
    setp.eq.u32 %p1, %r3, 0;
    @%p1 bra EVEN;
    mov.b32 %r4, 100;
    bra JOIN;
EVEN:
    mov.b32 %r4, 7;
JOIN:
    bar.warp.sync {ALL};
    redux.sync.add.u32 %r2, %r4, {ALL};"""
    for seed in range(5):
        ptx_texts.set(seed=seed, perturb=2)
        assert run(ptx_texts, body) == [16 * 107] * 32
    ptx_texts.set(perturb=0)


def test_branch_table(ptx_texts: Machine) -> None:
    body = """
    rem.u32 %r3, %r1, 3;
TABLE: .branchtargets ZERO, ONE, TWO;
    brx.idx %r3, TABLE;
ZERO:
    mov.b32 %r2, 10;
    bra JOIN;
ONE:
    mov.b32 %r2, 11;
    bra JOIN;
TWO:
    mov.b32 %r2, 12;
JOIN:
"""
    assert run(ptx_texts, body) == [10 + i % 3 for i in range(32)]


def test_membermask_without_oneself(ptx_texts: Machine) -> None:
    body = "mov.b32 %r2, 0; shfl.sync.idx.b32 %r2, %r1, 0, 31, 0x7fffffff;"
    run(ptx_texts, body, expect="not in its own membermask")


@pytest.mark.parametrize(
    "barrier, wanted",
    [
        ("bar.red.popc.u32 %r2, 0, %p1;", 70),
        ("bar.red.and.pred %p2, 0, %p1; selp.b32 %r2, 1, 0, %p2;", 0),
        ("bar.red.or.pred %p2, 0, %p1; selp.b32 %r2, 1, 0, %p2;", 1),
        ("barrier.sync 0; mov.b32 %r2, 3;", 3),
    ],
)
def test_barriers_of_a_block(ptx_texts: Machine, barrier: str, wanted: int) -> None:
    body = f"setp.lt.u32 %p1, %r1, 70; {barrier}"
    assert run(ptx_texts, body, threads=96) == [wanted] * 96


def test_barriers_that_never_open(ptx_texts: Machine) -> None:
    body = "setp.lt.u32 %p1, %r0, 32; mov.b32 %r2, 0; @%p1 bar.sync 1, 64;"
    run(ptx_texts, body, threads=96, expect="no warp can go on")


def test_loops_that_never_end(ptx_texts: Machine) -> None:
    ptx_texts.set(instruction_limit=10_000)
    run(ptx_texts, "mov.b32 %r2, 0;\nAGAIN:\n  bra AGAIN;", expect="a loop that does not end")
    ptx_texts.set(instruction_limit=20_000_000_000)


SPECIAL = {
    "%laneid": lambda i: i % 32,
    "%warpid": lambda i: i // 32,
    "%ntid.x": lambda i: 64,
    "%lanemask_lt": lambda i: (1 << i % 32) - 1,
    "%lanemask_le": lambda i: (2 << i % 32) - 1,
    "%lanemask_gt": lambda i: 2**32 - (2 << i % 32),
    "%lanemask_ge": lambda i: 2**32 - (1 << i % 32),
    "%lanemask_eq": lambda i: 1 << i % 32,
    "%nctaid.x": lambda i: 1,
}


@pytest.mark.parametrize("register", SPECIAL)
def test_special_registers(ptx_texts: Machine, register: str) -> None:
    got = run(ptx_texts, f"mov.u32 %r2, {register};", threads=64)
    assert got == [SPECIAL[register](i) for i in range(64)]
