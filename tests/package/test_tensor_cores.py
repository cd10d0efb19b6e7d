"""What the compiler makes of the kernels whose speed rests on particular instructions.

Tensor-core products, copies and loads of 16 bytes, nothing in local memory: in the PTX, and where
there is a cuobjdump, in the machine code as well.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
sys.path.append(str(ROOT))  # last, so that the source folder does not hide an installed package

from build_tools import cuda_toolkit  # noqa: E402

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CSRC.is_dir(), reason="no source tree beside the tests"),
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc"),
]

SEARCH = """
#include "cuda/triplet/batch_hard/search.cuh"
namespace fused_rankloss::cuda::triplet {
template __global__ void hardest_search_kernel<1>(const __grid_constant__ SearchParams);
template __global__ void hardest_search_kernel<2>(const __grid_constant__ SearchParams);
}
"""


HOPPER_SEARCH = """
#include "cuda/experimental/hopper_search.cuh"
namespace fused_rankloss::cuda::triplet {
template __global__ void hopper_search_kernel<1>(const __grid_constant__ HopperSearchParams);
template __global__ void hopper_search_kernel<2>(const __grid_constant__ HopperSearchParams);
}
"""


def compile_source(source: str, output: Path, *flags: str) -> None:
    file = output.with_suffix(".cu")
    file.write_text(source)
    command = ["nvcc", "-std=c++20", "-O3", f"-I{CSRC}", *flags, str(file), "-o", str(output)]
    subprocess.run(command, check=True, capture_output=True)


# A slice: 2 x 8 fragments, in 2 steps of one product or 1 step of three; sm_75 needs two
# instructions for 16 elements.
@pytest.mark.parametrize(
    ("architecture", "instruction", "products", "copies"),
    [
        ("compute_75", "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32", 2 * 16 * (2 + 3), False),
        ("compute_80", "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 16 * (2 + 3), True),
    ],
)
def test_ptx(
    architecture: str, instruction: str, products: int, copies: bool, tmp_path: Path
) -> None:
    ptx = tmp_path / "search.ptx"
    compile_source(SEARCH, ptx, f"-arch={architecture}", "-ptx")
    text = ptx.read_text()
    assert len(re.findall(re.escape(instruction), text)) == products
    assert "ldmatrix.sync.aligned.m8n8.x4" in text
    assert ("cp.async.cg.shared.global" in text) == copies


@pytest.mark.parametrize(
    ("architecture", "products"), [("compute_90a", 2 * 4 + 2 * 2 * 3), ("compute_90", 0)]
)
def test_hopper_ptx(architecture: str, products: int, tmp_path: Path) -> None:
    """The body is for sm_90a; elsewhere the kernel compiles, to nothing."""
    ptx = tmp_path / "hopper.ptx"
    compile_source(HOPPER_SEARCH, ptx, f"-arch={architecture}", "-ptx")
    text = ptx.read_text()
    wgmma = "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16"
    assert len(re.findall(re.escape(wgmma), text)) == products
    assert ("setmaxnreg.inc" in text) == (products > 0)
    # Of the two kernels: rows, and columns.
    copy = "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes "
    assert text.count(copy) == (4 if products > 0 else 0)


DIRECTION = """
#include "losses/distance.h"
namespace fused_rankloss {
__global__ void direction(double* x) {
  x[4] = gradient_direction(Distance::kCosine, x[0], x[1], x[2], x[3], x[3]);
}
}
"""


def test_equal_directions_have_no_difference(tmp_path: Path) -> None:
    """Rounded one by one, before anything may be fused with them."""
    ptx = tmp_path / "direction.ptx"
    compile_source(DIRECTION, ptx, "-arch=compute_80", "-ptx")
    assert ptx.read_text().count("mul.rn.f64") == 2


# ---- Machine code ----------------------------------------------------------------------------


def cuobjdumps() -> Iterator[Path]:
    """On the PATH, of a toolkit, of a package: triton brings one along."""
    if on_path := shutil.which("cuobjdump"):
        yield Path(on_path)
    for nvcc in cuda_toolkit.candidates(os.environ, sys.path):
        yield nvcc.with_name("cuobjdump")
    for folder in sys.path:
        for place in ("triton/backends/nvidia/bin", "nvidia/cu*/bin", "nvidia/cuda_cuobjdump/bin"):
            yield from Path(folder).glob(f"{place}/cuobjdump")


@pytest.fixture(scope="module")
def cuobjdump() -> Path:
    found = next((path for path in cuobjdumps() if os.access(path, os.X_OK)), None)
    if found is None:
        pytest.skip("no cuobjdump on the PATH, in a CUDA toolkit or with triton: PTX alone is read")
    return found


def instructions(cuobjdump: Path, compiled: Path) -> dict[str, list[str]]:
    """The opcodes of each kernel, with their suffixes: "LDG.E.128"."""
    # It asks nvdisasm, which lies beside it.
    path = f"{cuobjdump.parent}{os.pathsep}{os.environ['PATH']}"
    command = [str(cuobjdump), "--dump-sass", str(compiled)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )
    found: dict[str, list[str]] = {}
    for block in done.stdout.split("Function : ")[1:]:
        name, _, code = block.partition("\n")
        found[name.strip()] = re.findall(r"^\s+/\*\w+\*/\s+(?:@!?\w+ )?([A-Z][\w.]*)", code, re.M)
    return found


KERNELS = f"""{SEARCH}
#include "cuda/pairwise/long.cuh"
#include "cuda/pairwise/tiled.cuh"
namespace fused_rankloss::cuda::pairwise {{
template __global__ void pairwise_kernel<CountTerm<float, int32_t>>(
    const __grid_constant__ PairwiseParams);
template __global__ void long_lists_kernel<LongCounts<float>>(
    const __grid_constant__ LongListsParams<float>);
}}
"""


@pytest.fixture(scope="module", params=[75, 80, 90], ids=lambda number: f"sm_{number}")
def built(request, cuobjdump: Path, tmp_path_factory) -> tuple[int, dict[str, list[str]]]:
    """The architecture, and the opcodes of each of its kernels."""
    cubin = tmp_path_factory.mktemp("sass") / f"kernels_{request.param}.cubin"
    compile_source(KERNELS, cubin, f"-arch=sm_{request.param}", "-cubin")
    return request.param, instructions(cuobjdump, cubin)


@pytest.fixture(scope="module")
def hopper(cuobjdump: Path, tmp_path_factory) -> dict[str, list[str]]:
    """The opcodes of the kernels for sm_90a alone."""
    cubin = tmp_path_factory.mktemp("sass") / "hopper.cubin"
    compile_source(HOPPER_SEARCH, cubin, "-arch=sm_90a", "-cubin")
    return instructions(cuobjdump, cubin)


def of(kernels: dict[str, list[str]], name: str) -> list[str]:
    (found,) = (code for kernel, code in kernels.items() if name in kernel)
    return found


def count(code: list[str], pattern: str) -> int:
    return sum(re.fullmatch(pattern, opcode) is not None for opcode in code)


@pytest.mark.parametrize(("kernel", "products"), [("ILi1EE", 16 * 2), ("ILi2EE", 16 * 3)])
def test_search_runs_on_tensor_cores(built, kernel: str, products: int) -> None:
    architecture, kernels = built
    code = of(kernels, f"hardest_search_kernel{kernel}")
    # The same number as in the PTX: ptxas neither unrolls the loop over slices nor removes any.
    if architecture == 75:
        assert count(code, r"HMMA\.1688\.F32") == 2 * products
    else:
        assert count(code, r"HMMA\.16816\.F32") == products
    assert count(code, r"HMMA.*") == products * (2 if architecture == 75 else 1)
    assert count(code, r"LDSM\.16\.M88\.4") > 0


@pytest.mark.parametrize("kernel", ["ILi1EE", "ILi2EE"])
def test_slabs_are_copied_by_16_bytes(built, kernel: str) -> None:
    """By cp.async without registers, except on sm_75; never in smaller copies."""
    architecture, kernels = built
    code = of(kernels, f"hardest_search_kernel{kernel}")
    copies = r"LDG\.E\.128\.SYS" if architecture == 75 else r"LDGSTS\.E\.BYPASS\.128"
    assert count(code, copies) > 0
    assert count(code, r"LDGSTS.*") == (0 if architecture == 75 else count(code, copies))


# A chunk: two row tiles, in 4 steps of one product or 2 steps of three.
@pytest.mark.parametrize(("kernel", "products"), [("ILi1EE", 2 * 4), ("ILi2EE", 2 * 2 * 3)])
def test_hopper_search_runs_on_warpgroups(hopper, kernel: str, products: int) -> None:
    code = of(hopper, f"hopper_search_kernel{kernel}")
    assert count(code, r"HGMMA\.64x128x16\.F32") == count(code, r"HGMMA.*") == products
    assert count(code, r"HMMA.*") == 0
    # One wait between chunks, one behind the last: products are not made to wait for one another.
    assert count(code, r"WARPGROUP\.DEPBAR.*") == 2
    assert count(code, r"UTMALDG\.2D") == 2  # rows, and columns
    assert count(code, r"USETMAXREG.*") > 0
    assert count(code, r"(LDL|STL).*") == 0


def test_runs_of_positions_are_loaded_by_16_bytes(built) -> None:
    """The eight ranks of a thread: two loads, and two stores where the first round makes them."""
    _, kernels = built
    code = of(kernels, "long_lists_kernel")
    assert count(code, r"LDG\.E\.128(\.SYS)?") == 2
    assert count(code, r"STG\.E\.128(\.SYS)?") == 2


def test_columns_are_read_by_16_bytes(built) -> None:
    """policy.h: one load from shared memory for the column that four rows meet."""
    _, kernels = built
    assert count(of(kernels, "pairwise_kernel"), r"LDS\.(U\.)?128") > 0


def test_nothing_lies_in_local_memory(built) -> None:
    _, kernels = built
    assert {name: count(code, r"(LDL|STL).*") for name, code in kernels.items()} == dict.fromkeys(
        kernels, 0
    )
    assert all(len(code) > 50 for code in kernels.values())  # the opcodes were found at all
