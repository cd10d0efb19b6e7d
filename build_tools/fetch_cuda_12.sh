#!/usr/bin/env bash
# Puts nvcc 12.4, the oldest toolkit that csrc/cuda is written for, into a folder, beside whatever is
# installed:
#
#     build_tools/fetch_cuda_12.sh FOLDER && make cuda-syntax NVCC=FOLDER/bin/nvcc
#     build_tools/fetch_cuda_12.sh --link FOLDER && FUSED_RANKLOSS_CUDA=1 CUDA_HOME=FOLDER make build
#
# The programs and CUB are packages of Debian 13, unpacked and not installed; the headers of the
# runtime come from PyPI. That compiles, and does not link, which takes the static cudart: 1.4 MB
# that nobody offers alone. --link takes it out of the package that has it, with a gigabyte of other
# libraries. About 120 MB of downloads, 1.1 GB with --link, and any Debian with a g++ of 6 to 13; a
# folder that is complete is left as it is. No root, and nothing outside it is changed.
set -euo pipefail

links=
if [ "${1-}" = --link ]; then links=1 && shift; fi
[ $# = 1 ] || { echo "usage: $0 [--link] FOLDER" >&2; exit 2; }
folder=$(realpath -m "$1")
cudart=lib64/libcudart_static.a
if [ -x "$folder/bin/nvcc" ] && { [ -z "$links" ] || [ -f "$folder/$cudart" ]; }; then exit 0; fi

# Complete or absent: it gets its name at the end.
new=$folder.$$
trap 'rm -rf "$new"' EXIT
mkdir -p "$new"/{apt/lists/partial,apt/cache/archives/partial,packages,unpacked,bin,nvvm}

# The mirror that this machine uses, and an apt state of our own.
mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE)' |
  sed -nE 's#^(\S+/debian/?) .*#\1#p' | head -n 1)
[ -n "$mirror" ] || { echo "$0: no Debian mirror in the configuration of apt" >&2; exit 1; }
cat >"$new/apt/apt.conf" <<END_OF_FILE
Dir::State "$new/apt";
Dir::State::status "/dev/null";
Dir::Cache "$new/apt/cache";
Dir::Etc::sourcelist "$new/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Sandbox::User "";
Acquire::Languages "none";
END_OF_FILE
keys=/usr/share/keyrings/debian-archive-keyring.gpg
echo "deb [signed-by=$keys] $mirror trixie main non-free" >"$new/apt/sources.list"
export APT_CONFIG=$new/apt/apt.conf
apt-get -qq update
(cd "$new/packages" && apt-get -qq download nvidia-cuda-toolkit libcub-dev libthrust-dev libcu++-dev)
for package in "$new"/packages/*.deb; do dpkg -x "$package" "$new/unpacked"; done
if [ -n "$links" ]; then
  (cd "$new/packages" && apt-get -qq download nvidia-cuda-dev)
  mkdir "$new/lib64"
  dpkg --fsys-tarfile "$new"/packages/nvidia-cuda-dev_*.deb |
    tar -xO ./usr/lib/x86_64-linux-gnu/libcudart_static.a >"$new/$cudart"
fi

# crt/ is in the wheel of nvcc, which has no nvcc.
python3 -m pip download --quiet --no-deps --only-binary=:all: --dest "$new/packages" \
  nvidia-cuda-runtime-cu12==12.4.127 nvidia-cuda-nvcc-cu12==12.4.131
for package in "$new"/packages/*.whl; do python3 -m zipfile -e "$package" "$new/unpacked"; done

# As an installed toolkit has them. Debian's bin/g++ would choose another compiler than $PATH does.
cd "$new/unpacked"
mv usr/lib/nvidia-cuda-toolkit/bin/{nvcc,crt} usr/bin/{cudafe++,ptxas,fatbinary,nvlink} "$new/bin"
mkdir "$new/nvvm/bin"
mv usr/lib/nvidia-cuda-toolkit/bin/cicc "$new/nvvm/bin"
mv usr/lib/nvidia-cuda-toolkit/libdevice "$new/nvvm"
mv nvidia/cuda_runtime/include "$new"
cp -r nvidia/cuda_nvcc/include/. usr/include/. "$new/include"
cat >"$new/bin/nvcc.profile" <<'END_OF_FILE'
TOP = $(_HERE_)/..
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH += $(TOP)/nvvm/bin:$(_HERE_):
INCLUDES += "-I$(TOP)/include" $(_SPACE_)
END_OF_FILE

cd "$new/.."
rm -rf "$new"/{apt,packages,unpacked} "$folder"
mv "$new" "$folder"
"$folder/bin/nvcc" --version | sed -n 's/.*release/nvcc/p'
