"""The triplet kernels' products are tensor-core instructions on every architecture."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

CSRC = Path(__file__).parents[1] / "csrc"

pytestmark = [
    pytest.mark.skipif(not CSRC.is_dir(), reason="no source tree beside the tests"),
    pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc"),
]

SOURCE = """
#include "cuda/hardest_search.cuh"
namespace fused_rankloss {
template __global__ void hardest_search_kernel<1>(const __grid_constant__ SearchParams);
template __global__ void hardest_search_kernel<2>(const __grid_constant__ SearchParams);
}
"""


# A slab: 2 x 8 fragments, in 2 steps of one product or 1 step of three; sm_75 needs two
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
    source, ptx = tmp_path / "search.cu", tmp_path / "search.ptx"
    source.write_text(SOURCE)
    command = ["nvcc", "-std=c++20", "-O3", f"-I{CSRC}", f"-arch={architecture}", "-ptx"]
    subprocess.run([*command, str(source), "-o", str(ptx)], check=True, capture_output=True)
    text = ptx.read_text()
    assert len(re.findall(re.escape(instruction), text)) == products
    assert "ldmatrix.sync.aligned.m8n8.x4" in text
    assert ("cp.async.cg.shared.global" in text) == copies
