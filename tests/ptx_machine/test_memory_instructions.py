"""Loads, stores, atomics and copies: their values, and every access that is a fault."""

from __future__ import annotations

import pytest
import torch
from machine import Machine
from ptx_text import column, f32, kernel, lane_address, unsigned

SHARED = ".extern .shared .align 16 .b8 dynamic[];\n"


def run(machine: Machine, body: str, *buffers, declarations: str = "", **launch) -> str:
    return machine.run_text(kernel(body, len(buffers), declarations), list(buffers), **launch)


@pytest.mark.parametrize(
    "load, wanted",
    [
        ("ld.global.u8 %r1, [%rd0];", 0x80),
        ("ld.global.s8 %r1, [%rd0];", 0xFFFFFF80),
        ("ld.global.u16 %r1, [%rd0];", 0xFF80),
        ("ld.global.s16 %r1, [%rd0];", 0xFFFFFF80),
        ("ld.global.nc.u32 %r1, [%rd0+4];", 0x04030201),
        ("ld.global.v2.u32 {%r2, %r1}, [%rd0];", 0x04030201),
        ("ld.global.v4.u16 {%h1, %h2, %h3, %h4}, [%rd0]; cvt.u32.u16 %r1, %h4;", 0x0403),
        ("ld.global.u64 %rd5, [%rd0]; shr.u64 %rd5, %rd5, 32; cvt.u32.u64 %r1, %rd5;", 0x04030201),
        ("ld.volatile.global.s32 %rd5, [%rd0]; cvt.u32.u64 %r1, %rd5;", 0x1234FF80),
    ],
)
def test_loads(ptx_texts: Machine, load: str, wanted: int) -> None:
    source = torch.tensor([0x80, 0xFF, 0x34, 0x12, 1, 2, 3, 4], dtype=torch.uint8)
    result = torch.zeros(1, dtype=torch.int32)
    assert not run(ptx_texts, f"{load} st.global.u32 [%rd1], %r1;", source, result, threads=1)
    assert unsigned(result) == [wanted]


def test_variables_and_parameters(ptx_texts: Machine) -> None:
    """Constant, local and static shared memory, and generic addresses of them."""
    declarations = """
.const .align 4 .u32 table[3] = {10, 20, 30};
.global .align 4 .f32 number = 0f40400000;
"""
    body = f"""
    .local .align 4 .b8 own[8];
    .shared .align 4 .b8 ours[128];
    ld.const.u32 %r1, [table+8];
    st.local.u32 [own+4], %r1;
    mov.u64 %rd5, own;
    cvta.local.u64 %rd5, %rd5;
    ld.u32 %r2, [%rd5+4];
    mov.u32 %r3, ours;
    mad.lo.u32 %r3, %r0, 4, %r3;
    st.shared.u32 [%r3], %r2;
    bar.sync 0;
    ld.shared.u32 %r4, [ours+124];
    mov.u64 %rd6, number;
    ld.global.u32 %r5, [%rd6];
    add.u32 %r4, %r4, %r5;
    {lane_address("%rd9", 0, 4)}
    st.global.u32 [%rd9], %r4;"""
    result = torch.zeros(32, dtype=torch.int32)
    assert not run(ptx_texts, body, result, declarations=declarations)
    assert unsigned(result) == [30 + f32(3)] * 32


ATOMICS = {
    # applied by 32 lanes with the value lane + 1, to 5: what memory holds then
    "red.global.add.u32 [%rd0], %r1;": 5 + sum(range(1, 33)),
    "red.global.max.s32 [%rd0], %r1;": 32,
    "atom.global.min.u32 %r2, [%rd0], %r1;": 1,
    "atom.global.or.b32 %r2, [%rd0], %r1;": 63,
    "atom.global.and.b32 %r2, [%rd0], %r1;": 0,
    "atom.global.xor.b32 %r2, [%rd0], %r1;": 5 ^ 32,
    "atom.global.inc.u32 %r2, [%rd0], 9;": (5 + 32) % 10,
    "atom.global.dec.u32 %r2, [%rd0], 9;": (5 - 32) % 10,
    "atom.global.cas.b32 %r2, [%rd0], 5, 77;": 77,
    "red.relaxed.gpu.global.add.u64 [%rd0], %rd7;": 5 + sum(range(1, 33)),
}


@pytest.mark.parametrize("atomic", ATOMICS)
def test_atomics(ptx_texts: Machine, atomic: str) -> None:
    memory = torch.tensor([5, 0], dtype=torch.int32)
    body = f"add.u32 %r1, %r0, 1; cvt.u64.u32 %rd7, %r1; {atomic}"
    assert not run(ptx_texts, body, memory)
    assert unsigned(memory)[0] == ATOMICS[atomic]


def test_atomics_return_what_was_there(ptx_texts: Machine) -> None:
    """Lanes take turns, in an order of the seed."""
    orders = set()
    for seed in range(8):
        ptx_texts.set(seed=seed)
        memory, result = torch.zeros(1, dtype=torch.int32), torch.zeros(32, dtype=torch.int32)
        body = "atom.global.add.u32 %r2, [%rd0], 1;\n" + lane_address("%rd9", 1, 4)
        assert not run(ptx_texts, body + "st.global.u32 [%rd9], %r2;", memory, result)
        assert sorted(unsigned(result)) == list(range(32))
        orders.add(unsigned(result)[0])
    assert len(orders) > 1


def test_float_atomics(ptx_texts: Machine) -> None:
    memory = torch.tensor([0.5])
    assert not run(ptx_texts, "red.global.add.f32 [%rd0], 0f3F800000;", memory)
    assert memory.item() == 32.5


@pytest.mark.parametrize("late", [0, 1])
def test_cp_async(ptx_texts: Machine, late: int) -> None:
    """What is copied is there after the wait; before it, it may be or not."""
    source = torch.arange(128, dtype=torch.int32)
    body = f"""
    mov.u32 %r1, dynamic;
    mad.lo.u32 %r2, %r0, 16, %r1;
    {lane_address("%rd8", 0, 16)}
    cp.async.cg.shared.global [%r2], [%rd8], 16;
    cp.async.commit_group;
    ld.shared.u32 %r5, [%r2+4];
    cp.async.wait_group 0;
    ld.shared.u32 %r3, [%r2+4];
    {lane_address("%rd9", 1, 8)}
    st.global.v2.u32 [%rd9], {{%r3, %r5}};"""
    early = set()
    for seed in range(8):
        ptx_texts.set(seed=seed, late_copies=late)
        result = torch.zeros(64, dtype=torch.int32)
        launch = {"declarations": SHARED, "dynamic_shared": 512}
        assert not run(ptx_texts, body, source, result, **launch)
        assert unsigned(result)[::2] == [4 * i + 1 for i in range(32)]
        early.add(unsigned(result)[3])
    assert early == ({5, 0xEEEEEEEE} if late else {5})
    ptx_texts.set(late_copies=1)


FAULTS = {
    "beyond": ("st.global.u32 [%rd0+128], %r0;", "0 bytes behind the end of a buffer of 128"),
    "across": ("ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd0+124];", "no multiple of 16"),
    "before": ("ld.global.u32 %r1, [%rd0+-4];", "in no allocation"),
    "null": ("mov.u64 %rd5, 0; ld.global.u32 %r1, [%rd5];", "in no allocation"),
    "misaligned": ("ld.global.u32 %r1, [%rd0+2];", "no multiple of 4"),
    "shared": ("st.shared.u32 [dynamic+64], %r0;", "shared address 64 of 64 bytes"),
    "shared_end": ("mov.u32 %r1, 62; st.shared.u16 [%r1+2], %h1;", "shared address 64 of 64"),
    "atomic": ("red.global.add.u32 [%rd0+4096], 1;", "in no allocation"),
    "unwritten": ("ld.shared.u32 %r1, [dynamic];", "nothing has written: shared address 0"),
    "trap": ("trap;", "trap"),
}


@pytest.fixture
def strict(ptx_texts: Machine):
    """Loads of what nothing has written are faults."""
    ptx_texts.set(check_unwritten=2)
    yield
    ptx_texts.set(check_unwritten=1)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("fault", FAULTS)
def test_faults(ptx_texts: Machine, fault: str) -> None:
    instruction, wanted = FAULTS[fault]
    memory = torch.zeros(32, dtype=torch.int32)
    failure = run(ptx_texts, instruction, memory, declarations=SHARED, dynamic_shared=64)
    assert wanted in failure
    assert f"at {instruction.split(';')[-2].strip()};" in failure and "by kernel" in failure


@pytest.mark.usefixtures("strict")
def test_global_memory_that_nothing_has_written(ptx_texts: Machine) -> None:
    memory = torch.zeros(2, dtype=torch.int32)
    body = "st.global.u32 [%rd0], %r0; ld.global.u32 %r1, [%rd0]; ld.global.u32 %r1, [%rd0+4];"
    failure = run(ptx_texts, body, memory, threads=1, tracked=True)
    assert "nothing has written: byte 4 of an allocation of 8" in failure


def test_loads_of_nothing_are_noted(ptx_texts: Machine) -> None:
    memory = torch.zeros(2, dtype=torch.int32)
    assert not run(ptx_texts, "ld.global.u32 %r17, [%rd0+4];", memory, threads=1, tracked=True)
    assert [line for line in ptx_texts.unwritten_loads() if "%r17" in line]


def test_faults_name_the_source_line(ptx_texts: Machine) -> None:
    body = ".loc 1 17 3\n  st.global.u32 [%rd0+128], %r0;"
    text = kernel(body, 1) + '\n.file 1 "/somewhere/csrc/cuda/some.cuh"\n'
    failure = ptx_texts.run_text(text, [torch.zeros(32, dtype=torch.int32)])
    assert "(csrc/cuda/some.cuh:17)" in failure


def test_values_of_columns() -> None:
    assert unsigned(column([2**32 - 1, 7], 32))[:2] == [2**32 - 1, 7]
