"""Compiles the two shared objects; what is not native code is in pyproject.toml.

fused_rankloss._C     the op schemas, the CPU kernels, build_info()
fused_rankloss._cuda  the CUDA kernels, where torch has CUDA and an nvcc is found

Environment: FUSED_RANKLOSS_CUDA=auto|0|1, TORCH_CUDA_ARCH_LIST, MAX_JOBS, CXX,
FUSED_RANKLOSS_LINEINFO=1 for CUDA kernels that tell profilers and compute-sanitizer their source
lines, FUSED_RANKLOSS_EXPERIMENTAL=1 for csrc/cuda/experimental too, and FUSED_RANKLOSS_SANITIZE=1
for CPU kernels under AddressSanitizer and UBSan.
"""

import importlib.util
import sys
from glob import glob
from pathlib import Path

from setuptools import setup

sys.path.insert(0, str(Path(__file__).parent))

CPU_SOURCES = ["csrc/module.cpp", "csrc/ops.cpp", *sorted(glob("csrc/cpu/*/*.cpp"))]
EXPERIMENTS = sorted(glob("csrc/cuda/experimental/*.cu"))
CUDA_SOURCES = sorted(set(glob("csrc/cuda/*/*.cu")) - set(EXPERIMENTS))

native = {}
if importlib.util.find_spec("torch"):  # the metadata and the source archive need none
    from build_tools.native import EXPERIMENTAL, BuildNative, extensions

    if EXPERIMENTAL:
        CUDA_SOURCES += EXPERIMENTS
    native = {
        "ext_modules": extensions(CPU_SOURCES, CUDA_SOURCES),
        "cmdclass": {"build_ext": BuildNative},
    }

setup(**native)
