"""Copies of boxes (TMA) and the barriers that count their bytes, against the PTX ISA; wgmma is in
test_tensor_instructions.py.

What is expected is written down from the documents: "128B swizzling mode" for the order of cells of
16 bytes, cp.async.bulk.tensor for the order of coordinates and for what lies outside (zero, and its
bytes count), mbarrier.test_wait for parities.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from machine import Machine
from ptx_text import kernel, lane_address, unsigned

SHARED = ".extern .shared .align 1024 .b8 dynamic[];\n"
# Of dynamic shared memory, which begins at address 0 where nothing is static: the swizzle goes by
# addresses. The barrier lies behind what is copied.
BARRIER_AT = 4096
SHARED_BYTES = BARRIER_AT + 8

# A row of the figure for each row of 128 bytes: which 16-byte cell lies where. Then from the start.
SWIZZLE_128B = (
    (0, 1, 2, 3, 4, 5, 6, 7),
    (1, 0, 3, 2, 5, 4, 7, 6),
    (2, 3, 0, 1, 6, 7, 4, 5),
    (3, 2, 1, 0, 7, 6, 5, 4),
    (4, 5, 6, 7, 0, 1, 2, 3),
    (5, 4, 7, 6, 1, 0, 3, 2),
    (6, 7, 4, 5, 2, 3, 0, 1),
    (7, 6, 5, 4, 3, 2, 1, 0),
)

ROWS, COLUMNS = 40, 72
MATRIX = torch.arange(1, ROWS * COLUMNS + 1, dtype=torch.int16).view(ROWS, COLUMNS)


@pytest.fixture(params=[0, 1], ids=["at once", "late"])
def copies(request: pytest.FixtureRequest, ptx_texts: Machine) -> Iterator[Machine]:
    """The machine, whose copies end at once or when they are waited for, at the latest."""
    ptx_texts.set(late_copies=request.param, instruction_limit=200_000)
    yield ptx_texts
    ptx_texts.set(late_copies=1, instruction_limit=20_000_000_000)


def box_of(row: int, column: int, height: int, width: int) -> torch.Tensor:
    """What is to arrive: zeros outside of the matrix."""
    framed = torch.zeros(ROWS + 2 * height, COLUMNS + 2 * width, dtype=torch.int16)
    framed[height : height + ROWS, width : width + COLUMNS] = MATRIX
    return framed[row + height :, column + width :][:height, :width]


def swizzled(box: torch.Tensor) -> torch.Tensor:
    cells = box.view(box.shape[0], 8, 8)
    return torch.stack(
        [cells[row, list(SWIZZLE_128B[row % 8])].flatten() for row in range(box.shape[0])]
    )


def copy_text(row: int, column: int, expected: int, *, to: int = 0, waits: int = 1) -> str:
    """Thread 0 copies a box to an address of dynamic shared memory; all wait for its barrier."""
    text = f"    mov.u32 %r21, dynamic;\n    add.u32 %r20, %r21, {BARRIER_AT};\n"
    text += """
    setp.ne.u32 %p1, %r0, 0;
    @%p1 bra WAIT;
    mbarrier.init.shared::cta.b64 [%r20], 1;
    fence.mbarrier_init.release.cluster;
    fence.proxy.async.shared::cta;
"""
    text += f"    mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r20], {expected};\n"
    text += f"    add.u32 %r21, %r21, {to};\n"
    text += f"    mov.u32 %r22, {column};\n    mov.u32 %r23, {row};\n"
    text += "    cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
    text += "[%r21], [%rd0, {%r22, %r23}], [%r20];\n"
    text += "    ld.shared.u16 %h1, [%r21];\nWAIT:\n    bar.sync 0;\n"
    for phase in range(waits):
        text += f"TRY{phase}:\n    mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r20], {phase};\n"
        text += f"    @!%p2 bra TRY{phase};\n"
    return text


def store_text(words: int) -> str:
    """Dynamic shared memory, by 32 threads, to buffer 1; what thread 0 saw early, behind it."""
    text = "    mov.u32 %r1, 0;\nSTORE:\n    mad.lo.u32 %r2, %r1, 128, 0;\n"
    text += "    mad.lo.u32 %r2, %r0, 4, %r2;\n    cvt.u64.u32 %rd5, %r2;\n"
    text += "    add.u64 %rd5, %rd1, %rd5;\n    mov.u32 %r4, dynamic;\n    add.u32 %r2, %r4, %r2;\n"
    text += "    ld.shared.u32 %r3, [%r2];\n    st.global.u32 [%rd5], %r3;\n"
    text += f"    add.u32 %r1, %r1, 1;\n    setp.lt.u32 %p3, %r1, {words // 32};\n"
    text += "    @%p3 bra STORE;\n    setp.eq.u32 %p4, %r0, 0;\n"
    return text + f"    @%p4 st.global.u16 [%rd1+{4 * words}], %h1;\n"


PLACES = {
    "inside": (0, 0),
    "from 16 and 8 on": (16, 8),
    "beyond the last row and column": (31, 40),
    "before the first ones": (-3, -8),
    "outside": (ROWS, 0),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("swizzle", [False, True], ids=["plain", "swizzle"])
def test_boxes(copies: Machine, swizzle: bool, place: str) -> None:
    row, column = PLACES[place]
    height, width = (16, 64) if swizzle else (12, 32)
    tensor_map = copies.tensor_map(MATRIX, (height, width), swizzle=swizzle)
    wanted = box_of(row, column, height, width)
    wanted = swizzled(wanted) if swizzle else wanted
    first = wanted[0, 0].item()
    body = copy_text(row, column, 2 * height * width) + store_text(height * width // 2)
    early = set()
    for seed in range(6):
        copies.set(seed=seed)
        result = torch.full((height * width + 1,), -1, dtype=torch.int16)
        failure = copies.run_text(
            kernel(body, 2, SHARED),
            [tensor_map, result],
            reachable=[MATRIX],
            dynamic_shared=SHARED_BYTES,
        )
        assert not failure, failure
        assert torch.equal(result[:-1].view(height, width), wanted)
        early.add(unsigned(result)[-1])
    assert early <= {first, 0xEEEE}, "what is read before the wait is the copy's or junk"


def test_a_late_copy_is_not_there_before_the_wait(ptx_texts: Machine) -> None:
    tensor_map = ptx_texts.tensor_map(MATRIX, (8, 64), swizzle=True)
    result = torch.zeros(8 * 64 + 1, dtype=torch.int16)
    body = copy_text(0, 0, 1024) + store_text(256)
    buffers = [tensor_map, result]
    assert not ptx_texts.run_text(
        kernel(body, 2, SHARED), buffers, reachable=[MATRIX], dynamic_shared=SHARED_BYTES
    )
    assert unsigned(result)[-1] == 0xEEEE


@pytest.mark.parametrize("expected", [1024 + 16, 1024 - 16])
def test_a_phase_waits_for_exactly_its_bytes(copies: Machine, expected: int) -> None:
    tensor_map = copies.tensor_map(MATRIX, (8, 64), swizzle=True)
    failure = copies.run_text(
        kernel(copy_text(0, 0, expected), 1, SHARED),
        [tensor_map],
        reachable=[MATRIX],
        dynamic_shared=SHARED_BYTES,
    )
    assert failure, "a phase ended with other bytes than it was told to expect"


def test_a_phase_ends_once(copies: Machine) -> None:
    """A wait for a second end never returns."""
    tensor_map = copies.tensor_map(MATRIX, (8, 64), swizzle=True)
    failure = copies.run_text(
        kernel(copy_text(0, 0, 1024, waits=2), 1, SHARED),
        [tensor_map],
        reachable=[MATRIX],
        dynamic_shared=SHARED_BYTES,
    )
    assert failure


FAULTS = {
    "unaligned": ({"to": 64}, "no multiple of 128"),
    "beyond": ({"to": BARRIER_AT - 896}, "beyond shared memory"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(copies: Machine, fault: str) -> None:
    options, wanted = FAULTS[fault]
    tensor_map = copies.tensor_map(MATRIX, (8, 64), swizzle=True)
    failure = copies.run_text(
        kernel(copy_text(0, 0, 1024, **options), 1, SHARED),
        [tensor_map],
        reachable=[MATRIX],
        dynamic_shared=SHARED_BYTES,
    )
    assert wanted in failure and "cp.async.bulk.tensor" in failure


def test_what_is_no_tensor_map(copies: Machine) -> None:
    other = torch.zeros(16, dtype=torch.int64)
    text = kernel(copy_text(0, 0, 1024), 1, SHARED)
    assert "no tensor map" in copies.run_text(text, [other], dynamic_shared=SHARED_BYTES)


def test_a_matrix_that_is_no_longer_there(copies: Machine) -> None:
    tensor_map = copies.tensor_map(MATRIX, (8, 64), swizzle=True)
    text = kernel(copy_text(0, 0, 1024), 1, SHARED)
    assert "from no allocation" in copies.run_text(text, [tensor_map], dynamic_shared=SHARED_BYTES)


# What the driver's documentation of cuTensorMapEncodeTiled rules out.
@pytest.mark.parametrize(
    "columns, box, swizzle",
    [
        (68, (8, 64), True),  # strides are multiples of 16 bytes
        (72, (8, 72), True),  # at most 128 bytes per row if it swizzles
        (72, (8, 12), False),  # a box's rows are multiples of 16 bytes
        (72, (257, 64), True),  # at most 256 numbers a side
        (72, (0, 64), True),
    ],
)
def test_refused_maps(
    ptx_texts: Machine, columns: int, box: tuple[int, int], swizzle: bool
) -> None:
    matrix = torch.zeros(ROWS, columns, dtype=torch.int16)
    with pytest.raises(ValueError, match="CUDA error 1"):
        ptx_texts.tensor_map(matrix, box, swizzle=swizzle)


def test_parities(ptx_texts: Machine) -> None:
    """The phase before the first one counts as over; then each ends with its last arrival."""
    steps = ["", "arrive", "arrive", "arrive", "arrive"]
    body = """
    .shared .align 8 .b64 barrier;
    mov.u32 %r20, barrier;
    mbarrier.init.shared::cta.b64 [%r20], 2;
"""
    for k, step in enumerate(steps):
        if step:
            body += "    mbarrier.arrive.shared::cta.b64 _, [%r20];\n"
        for parity in range(2):
            body += "    mbarrier.test_wait.parity.shared::cta.b64 %p1, [%r20], "
            body += f"{parity};\n    selp.u32 %r1, 1, 0, %p1;\n"
            body += f"    st.global.u32 [%rd0+{4 * (2 * k + parity)}], %r1;\n"
    result = torch.full((10,), -1, dtype=torch.int32)
    failure = ptx_texts.run_text(kernel(body, 1), [result], threads=1)
    assert not failure, failure
    # (parity 0 over, parity 1 over): the first phase ends at the second arrival, the next at the
    # fourth.
    assert unsigned(result) == [0, 1, 0, 1, 1, 0, 1, 0, 0, 1]


def test_every_lane_arrives(ptx_texts: Machine) -> None:
    body = f"""
    .shared .align 8 .b64 barrier;
    mov.u32 %r20, barrier;
    setp.eq.u32 %p1, %r0, 0;
    @%p1 mbarrier.init.shared::cta.b64 [%r20], 32;
    bar.warp.sync 0xffffffff;
    mbarrier.arrive.shared::cta.b64 _, [%r20];
    mbarrier.test_wait.parity.shared::cta.b64 %p2, [%r20], 0;
    selp.u32 %r1, 1, 0, %p2;
    {lane_address("%rd9", 0, 4)}
    st.global.u32 [%rd9], %r1;"""
    result = torch.zeros(32, dtype=torch.int32)
    assert not ptx_texts.run_text(kernel(body, 1), [result])
    assert unsigned(result) == [1] * 32


def test_too_many_arrivals(ptx_texts: Machine) -> None:
    """At a phase that has all of them and still waits for bytes."""
    body = """
    .shared .align 8 .b64 barrier;
    mov.u32 %r20, barrier;
    mbarrier.init.shared::cta.b64 [%r20], 1;
    mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r20], 16;
    mbarrier.arrive.shared::cta.b64 _, [%r20];"""
    failure = ptx_texts.run_text(kernel(body, 1), [torch.zeros(1)], threads=1)
    assert "too many arrivals" in failure
