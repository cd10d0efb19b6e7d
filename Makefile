# For an activated environment that has torch; `make dev` brings the rest.

CXX_FILES = $(shell find csrc tests build_tools -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh')
# Without those that torch adds: the sources are to need none of them. Asked for once, if at all.
NVCC_FLAGS = $(eval NVCC_FLAGS := $(shell FUSED_RANKLOSS_EXPERIMENTAL=1 \
	python -c "from build_tools.native import *; \
	print(*NVCC_FLAGS, '-Icsrc', \
	      *('-isystem=' + folder for folder in cpp_extension.include_paths()))"))$(NVCC_FLAGS)
NVCC = nvcc
CUDA_FILES = $(wildcard csrc/cuda/*/*.cu)
CUDA_OBJECTS = $(CUDA_FILES:csrc/cuda/%.cu=build/cuda-syntax/%.o)
SANITIZERS = $(shell g++ -print-file-name=libasan.so):$(shell g++ -print-file-name=libstdc++.so.6)
SANITIZED = LD_PRELOAD="$(SANITIZERS)" UBSAN_OPTIONS=print_stacktrace=1 \
	PYTHONPATH=build/sanitize:tests
# Leaks of the package itself, which is what _C is; the harness's launchers are programs of the tests.
WITH_LEAKS = ASAN_OPTIONS=detect_leaks=1:leak_check_at_exit=0 PYTHONMALLOC=malloc \
	LSAN_OPTIONS="suppressions='$(CURDIR)/tests/leaks.supp':print_suppressions=0"

.PHONY: dev build test check fmt cuda-syntax $(CUDA_OBJECTS) sanitize

# Editable: Python sources are used where they are.
dev:
	pip install "setuptools>=77" ninja pybind11
	pip install --no-build-isolation -e ".[dev,bench,examples]"

# After a change in csrc/: compiles what changed, into the editable package.
build:
	python setup.py build_ext --inplace

# `python -m pytest` would put this folder first, and so hide a package installed elsewhere.
test:
	pytest

check:
	ruff check
	ruff format --check
	clang-format --dry-run -Werror $(CXX_FILES)

fmt:
	ruff check --fix
	ruff format
	clang-format -i $(CXX_FILES)

# Each .cu alone, for one architecture, then all of them linked, so that what two of them define
# shows: `make -j4 cuda-syntax NVCC=/path/to/nvcc`. Needs no GPU and no torch with CUDA: symbols of
# torch may stay undefined. build_tools/fetch_cuda_12.sh gets the oldest toolkit that has to do.
cuda-syntax: $(CUDA_OBJECTS)
	ld -r $^ -o build/cuda-syntax/linked

$(CUDA_OBJECTS): build/cuda-syntax/%.o: csrc/cuda/%.cu
	@mkdir -p $(@D)
	$(NVCC) $(NVCC_FLAGS) -arch=$(if $(filter hopper_%,$(*F)),sm_90a,sm_80) -c $< -o $@

# The kernels of both kinds under AddressSanitizer and UBSan, installed aside. Python itself is
# compiled without them, so the runtime is preloaded. Leaks: tests/leaks.py.
# The CUDA kernels, run on one CPU thread, take as long as all the rest: side by side with it.
# Of each test, every value of every parameter once: what a case touches depends on its sizes, dtype
# and options one by one.
sanitize:
	FUSED_RANKLOSS_SANITIZE=1 pip install --no-deps --upgrade --target build/sanitize .
	log=$$(mktemp); \
	$(SANITIZED) ASAN_OPTIONS=detect_leaks=0 \
	  pytest -s -m sanitize --every-value tests/cuda_host >"$$log" 2>&1 & host=$$!; \
	$(SANITIZED) $(WITH_LEAKS) \
	  pytest -p leaks -s -m sanitize --every-value --progress --ignore=tests/cuda_host; rest=$$?; \
	wait $$host; failed=$$?; \
	cat "$$log"; rm "$$log"; exit $$((rest != 0 ? rest : failed))
