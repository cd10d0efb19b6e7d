"""Fragments of ldmatrix, mma and wgmma against a matrix product, and the sums of a tensor core."""

from __future__ import annotations

import pytest
import torch
from machine import Machine
from ptx_text import kernel, lane_address

SHARED = ".extern .shared .align 1024 .b8 dynamic[];\n"


def halves(rows: int, columns: int, seed: int) -> torch.Tensor:
    """Small integers, whose products and sums are exact."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-4, 5, (rows, columns), generator=generator).half()


def load_fragment(name: str, registers: int, buffer: int) -> str:
    """Registers of 32 lanes that lie one after the other in a buffer."""
    return "".join(
        lane_address("%rd9", buffer, 4) + f"  ld.global.b32 %{name}{r}, [%rd9+{128 * r}];\n"
        for r in range(registers)
    )


def pairs(matrix: torch.Tensor, places) -> torch.Tensor:
    """For each register and lane two neighbours of a row; places(register, lane): where."""
    values = [
        [matrix[row, column], matrix[row, column + 1]]
        for register in range(places.registers)
        for row, column in (places(register, lane) for lane in range(32))
    ]
    return torch.tensor(values, dtype=torch.float16)


class APlaces:
    """Of the 16 x K operand: the PTX ISA's figures for m16n8k8 and m16n8k16."""

    def __init__(self, k: int):
        self.registers = k // 4

    def __call__(self, register: int, lane: int) -> tuple[int, int]:
        return lane // 4 + register % 2 * 8, lane % 4 * 2 + register // 2 * 8


class BPlaces:
    """Of the K x 8 operand, held by columns."""

    def __init__(self, k: int):
        self.registers = k // 8

    def __call__(self, register: int, lane: int) -> tuple[int, int]:
        return lane // 4, lane % 4 * 2 + register * 8


@pytest.mark.parametrize("k", [8, 16])
def test_mma(ptx_texts: Machine, k: int) -> None:
    a, b = halves(16, k, 1), halves(8, k, 2)  # b: its columns
    c = torch.arange(128, dtype=torch.float32).view(16, 8)
    c_lanes = torch.tensor(
        [[c[lane // 4 + r // 2 * 8, lane % 4 * 2 + r % 2] for lane in range(32)] for r in range(4)]
    )
    d = torch.zeros(4, 32)
    na, nb = k // 4, k // 8
    fragment = {
        "d": ", ".join(f"%f{r}" for r in range(4)),
        "a": ", ".join(f"%r{10 + r}" for r in range(na)),
        "b": ", ".join(f"%r{20 + r}" for r in range(nb)),
        "c": ", ".join(f"%f{10 + r}" for r in range(4)),
    }
    body = load_fragment("r1", na, 0) + load_fragment("r2", nb, 1) + load_fragment("f1", 4, 2)
    body += f"  mma.sync.aligned.m16n8k{k}.row.col.f32.f16.f16.f32 "
    body += ", ".join(f"{{{fragment[name]}}}" for name in "dabc") + ";\n"
    body += lane_address("%rd9", 3, 4)
    body += "".join(f"  st.global.f32 [%rd9+{128 * r}], %f{r};\n" for r in range(4))
    buffers = [pairs(a, APlaces(k)), pairs(b, BPlaces(k)), c_lanes, d]
    failure = ptx_texts.run_text(kernel(body, 4), buffers)
    assert not failure, failure
    wanted = a.float() @ b.float().T + c
    for r in range(4):
        for lane in range(32):
            assert d[r, lane] == wanted[lane // 4 + r // 2 * 8, lane % 4 * 2 + r % 2]


def test_tensor_core_sums_are_cut_off(ptx_texts: Machine) -> None:
    """An addend below 24 bits of the largest one is lost: 2^14 * 2^14 + 1 is 2^28."""
    a, b = torch.zeros(16, 8).half(), torch.zeros(8, 8).half()
    a[:, 0], a[:, 1] = 2.0**14, 1
    b[:, 0], b[:, 1] = 2.0**14, 1
    d = torch.zeros(4, 32)
    body = load_fragment("r1", 2, 0) + load_fragment("r2", 1, 1)
    body += "".join(f"  mov.b32 %f1{r}, 0f00000000;\n" for r in range(4))
    body += "  mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3}, "
    body += "{%r10, %r11}, {%r20}, {%f10, %f11, %f12, %f13};\n"
    body += lane_address("%rd9", 2, 4)
    body += "".join(f"  st.global.f32 [%rd9+{128 * r}], %f{r};\n" for r in range(4))
    buffers = [pairs(a, APlaces(8)), pairs(b, BPlaces(8)), d]
    assert not ptx_texts.run_text(kernel(body, 3), buffers)
    assert (d == 2.0**28).all()


@pytest.mark.parametrize("matrices", [1, 2, 4])
def test_ldmatrix(ptx_texts: Machine, matrices: int) -> None:
    """Lanes 8 k .. 8 k + 7 give the rows of matrix k; lane i gets numbers 2 i and 2 i + 1 of it."""
    source = torch.arange(256, dtype=torch.int16)
    result = torch.zeros(4, 32, dtype=torch.int32)
    registers = ", ".join(f"%r{10 + r}" for r in range(matrices))
    body = f"""
    mov.u32 %r1, dynamic;
    mad.lo.u32 %r2, %r0, 16, %r1;
    {lane_address("%rd8", 0, 16)}
    ld.global.v4.u32 {{%r3, %r4, %r5, %r6}}, [%rd8];
    st.shared.v4.u32 [%r2], {{%r3, %r4, %r5, %r6}};
    bar.warp.sync 0xffffffff;
    ldmatrix.sync.aligned.m8n8.x{matrices}.shared.b16 {{{registers}}}, [%r2];
    {lane_address("%rd9", 1, 4)}
"""
    body += "".join(f"  st.global.u32 [%rd9+{128 * r}], %r{10 + r};\n" for r in range(matrices))
    text = kernel(body, 2, SHARED)
    failure = ptx_texts.run_text(text, [source, result], dynamic_shared=512)
    assert not failure, failure
    for r in range(matrices):
        first = [64 * r + 2 * lane for lane in range(32)]
        assert result[r].tolist() == [value | (value + 1) << 16 for value in first]


def test_mma_without_all_lanes(ptx_texts: Machine) -> None:
    body = """
    setp.lt.u32 %p1, %r0, 31;
    @%p1 mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%f0, %f1, %f2, %f3},
      {%r10, %r11}, {%r20}, {%f10, %f11, %f12, %f13};"""
    failure = ptx_texts.run_text(kernel(body, 1), [torch.zeros(1)])
    assert "mma without all lanes" in failure or "no warp can go on" in failure


def swizzled(matrix: torch.Tensor) -> torch.Tensor:
    """Rows of 64 halves, the 16-byte pieces of each one exchanged as SWIZZLE_128B has it."""
    rows = matrix.view(matrix.shape[0], 8, 8)
    mixed = torch.empty_like(rows)
    for row in range(matrix.shape[0]):
        for piece in range(8):
            mixed[row, piece ^ row % 8] = rows[row, piece]
    return mixed.reshape(matrix.shape)


@pytest.mark.parametrize("late", [0, 1])
def test_wgmma(ptx_texts: Machine, late: int) -> None:
    """m64n128k16 of two operands in shared memory: 64 registers of each of 128 threads."""
    a, b = halves(64, 64, 3), halves(128, 64, 4)
    operands = torch.cat([swizzled(a), swizzled(b)])
    d = torch.zeros(64, 128)
    registers = ", ".join(f"%d{r}" for r in range(64))
    body = """
    .reg .f32 %d<64>;
    mov.u32 %r1, 0;
COPY:
    mad.lo.u32 %r2, %r1, 2048, 0;
    mad.lo.u32 %r2, %r0, 16, %r2;
    cvt.u64.u32 %rd5, %r2;
    add.u64 %rd5, %rd0, %rd5;
    ld.global.v4.u32 {%r3, %r4, %r5, %r6}, [%rd5];
    st.shared.v4.u32 [%r2], {%r3, %r4, %r5, %r6};
    add.u32 %r1, %r1, 1;
    setp.lt.u32 %p1, %r1, 12;
    @%p1 bra COPY;
    bar.sync 0;
    setp.ne.u32 %p2, 0, 0;
"""
    body += "".join(f"    mov.b32 %d{r}, 0f00000000;\n" for r in range(64))
    body += "    wgmma.fence.sync.aligned;\n"
    for part in range(4):  # 16 of the 64 numbers of a row: 32 bytes, 2 in the descriptor's units
        a_descriptor = 1 << 62 | (1024 >> 4) << 32 | (0 + 32 * part) >> 4
        b_descriptor = 1 << 62 | (1024 >> 4) << 32 | (64 * 128 + 32 * part) >> 4
        body += f"    mov.b64 %rd6, {a_descriptor};\n    mov.b64 %rd7, {b_descriptor};\n"
        body += "    wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 "
        body += f"{{{registers}}}, %rd6, %rd7, %p2, 1, 1, 0, 0;\n"
        body += "    setp.eq.u32 %p2, 0, 0;\n"
    body += "    wgmma.commit_group.sync.aligned;\n    wgmma.wait_group.sync.aligned 0;\n"
    body += lane_address("%rd9", 1, 256)
    body += "".join(f"    st.global.f32 [%rd9+{4 * r}], %d{r};\n" for r in range(64))
    for seed in range(3):
        ptx_texts.set(seed=seed, late_copies=late)
        result = torch.zeros(128, 64)
        failure = ptx_texts.run_text(
            kernel(body, 2, SHARED), [operands, result], threads=128, dynamic_shared=192 * 128
        )
        assert not failure, failure
        for thread in range(128):
            for r in range(64):
                row = thread // 32 * 16 + thread % 32 // 4 + r // 2 % 2 * 8
                column = r // 4 * 8 + thread % 4 * 2 + r % 2
                d[row, column] = result[thread, r]
        assert torch.equal(d, a.float() @ b.float().T)
    ptx_texts.set(late_copies=1)


@pytest.mark.parametrize("late", [0, 1])
def test_mbarrier(ptx_texts: Machine, late: int) -> None:
    """Two arrivals end a phase; a wait for its parity makes earlier stores visible."""
    body = f"""
    .shared .align 8 .b64 barrier;
    .shared .align 4 .b32 value;
    setp.eq.u32 %p1, %r0, 0;
    @%p1 mbarrier.init.shared.b64 [barrier], 2;
    bar.sync 0;
    setp.eq.u32 %p2, %r0, 32;
    @%p2 st.shared.u32 [value], 41;
    @%p2 mbarrier.arrive.shared.b64 _, [barrier];
    @%p1 mbarrier.arrive.shared.b64 _, [barrier];
WAIT:
    mbarrier.try_wait.parity.shared.b64 %p3, [barrier], 0;
    @!%p3 bra WAIT;
    ld.shared.u32 %r2, [value];
    {lane_address("%rd9", 0, 4)}
    st.global.u32 [%rd9], %r2;"""
    for seed in range(4):
        ptx_texts.set(seed=seed, late_copies=late)
        result = torch.zeros(64, dtype=torch.int32)
        failure = ptx_texts.run_text(kernel(body, 1), [result], threads=64)
        assert not failure, failure
        assert (result == 41).all()
    ptx_texts.set(late_copies=1)
