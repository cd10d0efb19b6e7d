#!/usr/bin/env bash
# Everything that only a machine with a CUDA GPU can show, in one command:
#
#     benchmarks/gpu_check.sh FOLDER [--full] [STEP...]
#
#   build       the package in its source folder, CUDA kernels included (FUSED_RANKLOSS_CUDA=1)
#   test        the whole suite; a GPU test that is skipped fails (FUSED_RANKLOSS_REQUIRE_GPU=1)
#   sanitize    every kernel under compute-sanitizer: memcheck, racecheck, initcheck, synccheck
#   benchmark   times and memory on the GPU, beside the baselines; figures; the goals
#
# Without a STEP: all four. The default presets take minutes a step; --full adds the slow tests and
# the whole matrix of sizes, up to a million embeddings. On Hopper, triplets are run once more with
# the search of its own (FUSED_RANKLOSS_HOPPER=1), which is off by default. FOLDER gets
# environment.txt, a log for each step, and the CSV and figures of the benchmark.
#
# Needs a torch with CUDA, nvcc, compute-sanitizer (both in the CUDA toolkit) and the packages of
# the extras test and bench. $PYTHON names the interpreter, $CUDA_HOME the toolkit.
set -uo pipefail

steps=()
preset=--quick
folder=
for argument in "$@"; do
  case "$argument" in
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    --full) preset=--full ;;
    build | test | sanitize | benchmark) steps+=("$argument") ;;
    -*) echo "gpu_check: unknown option $argument" >&2; exit 2 ;;
    *) [ -z "$folder" ] || { echo "gpu_check: unknown step $argument" >&2; exit 2; }
       folder=$argument ;;
  esac
done
[ -n "$folder" ] || { echo "usage: $0 FOLDER [--full] [build] [test] [sanitize] [benchmark]" >&2; exit 2; }
[ ${#steps[@]} -gt 0 ] || steps=(build test sanitize benchmark)

[[ $folder = /* ]] || folder=$PWD/$folder
cd "$(dirname "$0")/.." || exit 1

refuse() { printf 'gpu_check: %s\n' "$@" >&2; exit 3; }
wants() { [[ " ${steps[*]} " == *" $1 "* ]]; }

# --- What is needed, before anything is started --------------------------------------------------

python=${PYTHON:-python}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

command -v "$python" >/dev/null || refuse "no $python on the PATH; name one with PYTHON=..."
probe() {
  "$python" - 2>&1 <<'PYTHON'
import sys

try:
    import torch
except ImportError as error:
    sys.exit(f"{sys.executable} has no torch: {error}")
if torch.version.cuda is None:
    sys.exit(f"torch {torch.__version__} has no CUDA; install one that has")
if not torch.cuda.is_available():
    sys.exit("no CUDA GPU is visible to torch; `nvidia-smi` says what the driver sees")
print(*torch.cuda.get_device_capability(), sep=".")
PYTHON
}
capability=$(probe) || refuse "$capability"
capability=${capability##*$'\n'}  # without warnings
hopper=
[ "$capability" = 9.0 ] && hopper=1

# The first of: the PATH, $CUDA_HOME, the places where the build looks.
toolkit_program() {
  local prefix
  command -v "$1" && return
  for prefix in "${CUDA_HOME:-/usr/local/cuda}" /usr/local/cuda /opt/cuda; do
    [ -x "$prefix/bin/$1" ] && { echo "$prefix/bin/$1"; return; }
  done
  "$python" - "$1" <<'PYTHON'
import sys
from pathlib import Path

for folder in sys.path:  # of the toolkit from PyPI
    for program in sorted(Path(folder, "nvidia").glob(f"cu*/bin/{sys.argv[1]}")):
        print(program)
        sys.exit()
sys.exit(1)
PYTHON
}
if wants build && ! toolkit_program nvcc >/dev/null; then
  refuse "no nvcc on the PATH or in \$CUDA_HOME; it comes with the CUDA toolkit"
fi
if wants sanitize && ! sanitizer=$(toolkit_program compute-sanitizer); then
  refuse "no compute-sanitizer on the PATH or in \$CUDA_HOME" \
    "it comes with the CUDA toolkit, and as nvidia-cuda-sanitizer-api from PyPI;" \
    "without it: $0 $folder build test benchmark"
fi
missing=$("$python" - <<'PYTHON'
from importlib.util import find_spec

needed = ("pytest", "hypothesis", "numpy", "matplotlib", "tqdm", "psutil")
print(*(name for name in needed if find_spec(name) is None))
PYTHON
)
[ -z "$missing" ] || refuse "missing Python packages: $missing"

# --- The steps -----------------------------------------------------------------------------------

mkdir -p "$folder" || refuse "cannot write to $folder"
failed=()
# Runs a command, with its output on the terminal and in a log; goes on where it fails.
step() {
  local name=$1 begin=$SECONDS
  shift
  printf '\n======== %s: %s\n' "$name" "$*"
  "$@" 2>&1 | tee "$folder/$name.log"
  local status=${PIPESTATUS[0]}
  printf '======== %s: %s after %d s\n' "$name" "$([ "$status" = 0 ] && echo ok || echo FAILED)" \
    $((SECONDS - begin))
  [ "$status" = 0 ] || failed+=("$name")
}

{
  git describe --always --dirty 2>/dev/null
  "$python" -m torch.utils.collect_env
  nvidia-smi
  nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.max.sm,power.limit,temperature.gpu \
    --format=csv
} >"$folder/environment.txt" 2>&1

if wants build; then
  # For this GPU alone, which saves minutes; 9.0 has instructions of its own in 9.0a.
  case $capability in 9.0 | 1?.*) capability+=a ;; esac
  export TORCH_CUDA_ARCH_LIST=${TORCH_CUDA_ARCH_LIST:-$capability}
  export FUSED_RANKLOSS_CUDA=1 FUSED_RANKLOSS_LINEINFO=1  # compute-sanitizer then names lines
  [ "$hopper" ] && export FUSED_RANKLOSS_EXPERIMENTAL=1  # its search
  step build "$python" setup.py build_ext --inplace
  [ ${#failed[@]} -eq 0 ] || refuse "the build failed: $folder/build.log"
fi

if wants test; then
  slow=()
  [ "$preset" = --full ] && slow=(-m "slow or not slow")
  FUSED_RANKLOSS_REQUIRE_GPU=1 step test "$python" -m pytest -q -ra "${slow[@]}"
  if [ "$hopper" ]; then
    FUSED_RANKLOSS_HOPPER=1 FUSED_RANKLOSS_REQUIRE_GPU=1 \
      step test_hopper "$python" -m pytest -q -ra "${slow[@]}" -k triplet --ignore=tests/cuda_host
  fi
fi

if wants sanitize; then
  # Each allocation apart, so that reading past a tensor is reading past an allocation.
  export PYTORCH_NO_CUDA_MEMORY_CACHING=1
  for tool in memcheck racecheck initcheck synccheck; do
    step "$tool" "$sanitizer" --tool "$tool" --kernel-name kns=fused_rankloss --error-exitcode 1 \
      --launch-timeout 0 "$python" -m benchmarks.gpu_kernels
  done
  # Its own kernel, which small batches do not reach; racecheck does not know all its barriers.
  if [ "$hopper" ]; then
    for tool in memcheck synccheck; do
      FUSED_RANKLOSS_HOPPER=1 step "${tool}_hopper" "$sanitizer" --tool "$tool" \
        --kernel-name kns=hopper_search --error-exitcode 1 --launch-timeout 0 \
        "$python" -m benchmarks.gpu_kernels --only large_triplets
    done
  fi
  unset PYTORCH_NO_CUDA_MEMORY_CACHING
fi

if wants benchmark; then
  step benchmark "$python" -m benchmarks run "$preset" --device cuda --memory all --output "$folder"
  step plot "$python" -m benchmarks plot --device cuda --output "$folder"
  step goals "$python" -m benchmarks goals --device cuda --output "$folder"
  larger=()
  [ "$preset" = --full ] && larger=(--full)
  if [ "$hopper" ]; then  # batches of all sizes, without its search and with it
    for value in 0 1; do
      FUSED_RANKLOSS_HOPPER=$value step "benchmark_hopper_$value" "$python" -m benchmarks run \
        "${larger[@]}" --device cuda --only batch_hard --providers fused matmul --memory none \
        --output "$folder/hopper_$value"
    done
  fi
fi

printf '\nIn %s: %s\n' "$folder" "$(cd "$folder" && echo *)"
if [ ${#failed[@]} -gt 0 ]; then
  printf 'gpu_check: failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
echo "gpu_check: passed"
