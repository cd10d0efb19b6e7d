"""What the compiled kernels take of a GPU: no spills, no stack, registers for the blocks asked for.

The table is made while `_cuda` is built (build_tools/ptxas_report.py), so that checking it is free.
`pytest -rP tests/package/test_ptxas.py` prints it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

import fused_rankloss

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # last, so that the source folder does not hide an installed package

from build_tools import native, ptxas_report  # noqa: E402
from build_tools.ptxas_report import Usage  # noqa: E402

REGISTERS = 64 * 1024  # of a multiprocessor, since sm_70
STATIC_SHARED = 48 * 1024
ALL_BARRIERS = 16

# Triplet kernels with one row per warp, or one number per thread.
ROW_PER_WARP = """
anchor_terms bounds centre convert hardest_choice hardest_scan inverse_norms label_keys
mined_gradients mined_pairs most_positives no_triplets same_label
scale_slopes semi_hard_pairs semi_hard_terms start_sweep store_gradients triplet_rows_backward
triplet_rows weights
""".split()

# Each kernel's __launch_bounds__: threads per block, and minimum blocks per multiprocessor, as in
# the policy.h files of csrc/cuda. The first pattern that matches counts.
LAUNCH_BOUNDS = {
    "pairwise_kernel": (256, 2),
    "short_lists_kernelI.*(CountTermId|HingeEd)": (256, 1),  # fp64 scores
    "short_lists_kernel": (256, 2),
    "long_lists_kernel": (256, 1),  # two blocks, before sm_100
    "lambda_short_kernel": (256, 1),  # two blocks for fp32 scores, before sm_100
    "prepare_kernel": (256, 1),
    "list_keys_kernel": (256, 1),
    "score_keys_kernel": (256, 1),
    "lists_backward_kernel": (256, 1),
    "weight_units_kernel": (256, 1),
    "lambda_prepare_kernel": (256, 1),
    "lambda_rank_kernel": (256, 2),
    "lambda_pairs_kernel": (256, 2),
    "lambda_chunks_kernel": (256, 1),
    "lambda_finish_kernel": (256, 2),
    "lambda_scan_kernel": (256, 1),
    "short_listwise_kernel": (256, 2),
    "long_listwise_kernelILNS_12ListwiseLossE2": (256, 1),  # soft ranks
    "long_listwise_kernel": (256, 2),
    "hardest_search_kernel": (128, 2),
    "hopper_search_kernel": (384, 1),
    "sweep_kernel": (128, 1),
    "sweep_gradients_kernel": (128, 1),
    **{f"{name}_kernel": (256, 1) for name in ROW_PER_WARP},
}


def is_own(usage: Usage) -> bool:
    """Not of a library, whose kernels are as they are."""
    return usage.kernel.startswith("_ZN14fused_rankloss")


def pattern_of(usage: Usage) -> str:
    """The entry of LAUNCH_BOUNDS for a kernel."""
    name = re.sub(
        r"^_ZN14fused_rankloss4cuda(8pairwise|6lambda|8listwise|7triplet)?(12_GLOBAL__N__\w+?)?\d+",
        "",
        usage.kernel,
    )
    found = [pattern for pattern in LAUNCH_BOUNDS if re.match(pattern, name)]
    assert found, f"expected a kernel of LAUNCH_BOUNDS, got {usage.kernel}"
    return found[0]


def faults(usage: Usage) -> list[str]:
    threads, blocks = LAUNCH_BOUNDS[pattern_of(usage)]
    # Registers come in lots of 8 a thread.
    registers = -(-usage.registers // 8) * 8
    rules = {
        "spills registers": usage.spill_stores == usage.spill_loads == 0,
        "needs a stack": usage.stack == 0,
        f"takes more registers than {blocks} blocks of {threads} threads have": (
            registers * threads * blocks <= REGISTERS
        ),
        "takes more than 48 KB of static shared memory": usage.shared <= STATIC_SHARED,
        "takes more barriers than there are": usage.barriers <= ALL_BARRIERS,
    }
    return [f"{usage}: {fault}" for fault, holds in rules.items() if not holds]


@pytest.fixture(scope="module")
def built() -> list[Usage]:
    info = fused_rankloss.build_info()
    if info["cuda_toolkit"] is None:
        pytest.skip(f"no CUDA kernels were compiled: {info['cuda_unavailable_reason']}")
    return ptxas_report.read(Path(fused_rankloss.__file__).with_name(native.PTXAS_REPORT))


def test_kernels_keep_to_their_means(built: list[Usage]) -> None:
    for usage in built:
        print(
            f"{usage.architecture:7} {usage.registers:3} registers {usage.shared:5} B shared "
            f"{usage.stack} B stack {usage.spill_stores} B spilled {usage.kernel}"
        )
    assert sum((faults(usage) for usage in built if is_own(usage)), []) == []


def test_every_kernel_is_there_on_every_architecture(built: list[Usage]) -> None:
    info = fused_rankloss.build_info()
    architectures = {name for name in info["cuda_architectures"] if name.startswith("sm_")}
    hopper = {pattern for pattern in LAUNCH_BOUNDS if pattern.startswith("hopper_")}
    own = [usage for usage in built if is_own(usage)]
    assert {pattern_of(usage) for usage in own} == (
        LAUNCH_BOUNDS.keys() if info["experimental"] else LAUNCH_BOUNDS.keys() - hopper
    )
    assert {usage[:2] for usage in own} == {
        (usage.kernel, name)
        for usage in own
        for name in ({"sm_90a"} if pattern_of(usage) in hopper else architectures)
    }


SAID = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_ZN14fused_rankloss4cuda15pairwise_kernelIfEEvv' for 'sm_90'
ptxas info    : Function properties for _ZN14fused_rankloss4cuda15pairwise_kernelIfEEvv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 103 registers, used 1 barriers, 38080 bytes smem
ptxas info    : Compile time = 533.517 ms

kernel.cu(7): warning #177-D: variable "unused" was declared but never referenced
ptxas info    : Compiling entry function '_ZN14fused_rankloss4cuda21lists_backward_kernelEv' for 'sm_75'
ptxas info    : Function properties for helper
    8 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Function properties for _ZN14fused_rankloss4cuda21lists_backward_kernelEv
    16 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 16 bytes cumulative stack size
"""  # noqa: E501
TOLD = [
    Usage("_ZN14fused_rankloss4cuda15pairwise_kernelIfEEvv", "sm_90", 103, 0, 0, 0, 38080, 1),
    Usage("_ZN14fused_rankloss4cuda21lists_backward_kernelEv", "sm_75", 255, 16, 4, 12, 0, 0),
]


def test_parse() -> None:
    assert ptxas_report.parse(SAID) == TOLD


@pytest.mark.parametrize("status", [0, 3, "KILL"])
def test_nvcc_is_run_and_reported(tmp_path: Path, capfd, status: int | str) -> None:
    nvcc = tmp_path / "my nvcc"
    end = f"kill -{status} $$" if status == "KILL" else f"exit {status}"
    nvcc.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{SAID}END\necho \"$@\"\n{end}\n")
    nvcc.chmod(0o755)
    compiled = tmp_path / "kernel.o"
    returned = ptxas_report.compile_and_report([str(nvcc), "-o", str(compiled)])
    assert returned == (-9 if status == "KILL" else status)
    out, err = capfd.readouterr()
    assert out == f"-o {compiled} -MD -MF {compiled}.d -Xptxas=-v\n"
    assert err.splitlines() == [line for line in SAID.splitlines() if "warning" in line]
    if status:
        assert not ptxas_report.path_beside(compiled).exists()
        # No line of what it said has an error in it: the last one.
        last = SAID.splitlines()[-1].strip()
        said = f"{nvcc} was ended by signal 9" if status == "KILL" else last
        assert ptxas_report.error_beside(compiled).read_text() == said
    else:
        assert not ptxas_report.error_beside(compiled).exists()
        assert ptxas_report.read(ptxas_report.path_beside(compiled)) == TOLD


def test_objects_are_as_old_as_what_they_were_made_of(tmp_path: Path) -> None:
    compiled, header = tmp_path / "kernel.o", tmp_path / "a folder" / "kernel.cuh"
    header.parent.mkdir()
    source, other = tmp_path / "kernel.cu", tmp_path / "other.cuh"
    for path in (compiled, header, source, other):
        path.touch()
    assert ptxas_report.is_outdated(compiled)  # what it was made of is unknown
    ptxas_report.write(ptxas_report.path_beside(compiled), [])
    assert ptxas_report.is_outdated(compiled)
    ptxas_report.dependencies_beside(compiled).write_text(
        f"{compiled} : {source} \\\n    {tmp_path}/a\\ folder/kernel.cuh\n"
    )

    def outdated(changed: Path) -> bool:
        for path in (compiled, header, source, other):
            os.utime(path, (1000, 1000 + (path == changed)))
        return ptxas_report.is_outdated(compiled)

    assert not outdated(compiled)
    assert not outdated(other)
    assert outdated(header)
    assert outdated(source)
    header.unlink()
    assert ptxas_report.is_outdated(compiled)


def test_files_for_one_architecture() -> None:
    command = ["nvcc", "-O3", "-c", "/hopper_x/kernel.cu", "-arch=all-major", "-o", "kernel.o"]
    assert ptxas_report.for_its_architecture(command) == command
    command[3] = "/a/hopper_search.cu"
    others = ["nvcc", "-O3", "-c", "/a/hopper_search.cu", "-o", "kernel.o"]
    assert ptxas_report.for_its_architecture(command) == [*others, ptxas_report.HOPPER]
    command[4:5] = ["-gencode=arch=compute_80,code=sm_80", "-gencode=arch=compute_90,code=sm_90"]
    assert ptxas_report.for_its_architecture(command) == [*others, ptxas_report.HOPPER]


@pytest.mark.parametrize(
    ("line", "is_error"),
    [
        ('kernel.cu(3): error: identifier "x" is undefined', True),
        ("nvcc fatal   : Unsupported gpu architecture 'compute_10'", True),
        ("ld: b.o:(.bss+0x0): multiple definition of `f'; a.o: first defined here", True),
        ("ld: a.o: undefined reference to `g'", True),
        ("kernel.cu(7): warning #177-D: variable was declared but never referenced", False),
        ("ld: a.o: in function `f':", False),
    ],
)
def test_errors_are_told_from_the_rest(line: str, is_error: bool) -> None:
    assert ptxas_report.is_error(line) is is_error


def test_faults_are_seen() -> None:
    good, spilling = TOLD
    assert faults(good) == []
    assert [fault.split(": ")[1] for fault in faults(spilling)] == [
        "spills registers",
        "needs a stack",
    ]
    assert "more registers" in faults(good._replace(registers=129))[0]
    assert "shared memory" in faults(good._replace(shared=STATIC_SHARED + 1))[0]
    assert "barriers" in faults(good._replace(barriers=17))[0]
