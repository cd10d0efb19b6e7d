"""How the package is built, loaded and found: toolkit discovery, build hooks, build_info()."""

import importlib.machinery
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import setuptools
import torch

import fused_rankloss
from fused_rankloss import _extension

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))  # last, so that the source folder does not hide an installed package

from build_tools import backend, cuda_toolkit, native, ptxas_report, target_torch  # noqa: E402
from build_tools.cuda_toolkit import CudaUnavailable, Toolkit, find_toolkit  # noqa: E402


def write_script(path, body):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{textwrap.dedent(body)}", encoding="utf-8")
    path.chmod(0o755)
    return path


# What nvcc knows; those of 13.0 stand as it lists them, out of order.
KNOWN = {
    "12.4": [50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90],
    "13.0": [75, 80, 86, 87, 88, 89, 90, 100, 110, 103, 120, 121],
}


def write_nvcc(prefix, version="13.0", body=""):
    """An nvcc that compiles nothing, and reports itself as the real one does."""
    known = " ".join(f"sm_{number}" for number in KNOWN.get(version, [80]))
    script = f"""
        printf '%s\\n' "$*" >> "{prefix}/calls"
        {body}
        case "$*" in
          *--version*) echo "Cuda compilation tools, release {version}, V{version}.88" ;;
          *--list-gpu-code*) printf '%s\\n' {known} ;;
          *--dryrun*) echo '#$ _HERE_={prefix}/bin' ;;
        esac
    """
    return write_script(prefix / "bin" / "nvcc", script)


def environ(**variables):
    """Environment variables without this machine's own toolkit."""
    return {"PATH": "/nowhere", **{name: str(value) for name, value in variables.items()}}


class TestToolkit:
    def test_order_is_cuda_home_cuda_path_path(self, tmp_path):
        for name in ("home", "path", "bin"):
            write_nvcc(tmp_path / name)
        variables = {
            "CUDA_HOME": tmp_path / "home",
            "CUDA_PATH": tmp_path / "path",
            "PATH": tmp_path / "bin" / "bin",
        }
        for name in ("home", "path", "bin"):
            assert find_toolkit(environ(**variables), []).root == tmp_path / name
            del variables[{"home": "CUDA_HOME", "path": "CUDA_PATH", "bin": "PATH"}[name]]

    def test_a_cuda_home_without_nvcc_is_passed_over(self, tmp_path):
        write_nvcc(tmp_path / "good")
        found = find_toolkit(environ(CUDA_HOME=tmp_path, CUDA_PATH=tmp_path / "good"), [])
        assert found.root == tmp_path / "good"

    def test_toolkit_from_pypi_comes_last(self, tmp_path):
        nvcc = write_nvcc(tmp_path / "nvidia" / "cu13")
        assert list(cuda_toolkit.candidates(environ(), [tmp_path]))[-1] == nvcc

    def test_wrapper_script_is_resolved(self, tmp_path):
        real = write_nvcc(tmp_path / "toolkit")
        wrapper = write_script(tmp_path / "bin" / "nvcc", f'exec "{real}" "$@"')
        found = find_toolkit(environ(PATH=wrapper.parent), [])
        assert found.root == tmp_path / "toolkit"
        assert found.nvcc == real

    def test_spaces_in_the_path(self, tmp_path):
        prefix = tmp_path / "my cuda toolkit"
        write_nvcc(prefix, version="12.4")
        (prefix / "lib64").mkdir()
        found = find_toolkit(environ(CUDA_HOME=prefix), [])
        assert found.root == prefix
        assert found.version == "12.4"
        assert found.library_folders == [prefix / "lib64"]

    def test_no_nvcc(self, monkeypatch):
        monkeypatch.setattr(cuda_toolkit, "candidates", lambda *_: iter(()))
        with pytest.raises(CudaUnavailable, match=r"no nvcc was found in \$CUDA_HOME"):
            find_toolkit(environ(), [])

    def test_nvcc_that_does_not_compile(self, tmp_path):
        body = 'case "$*" in *probe.o*) echo "no cc1plus" >&2; exit 3 ;; esac'
        nvcc = write_nvcc(tmp_path, body=body)
        with pytest.raises(CudaUnavailable) as caught:
            find_toolkit(environ(CUDA_HOME=tmp_path), [])
        message = str(caught.value)
        assert message.startswith(f"{nvcc} failed with exit status 3: no cc1plus")
        assert "\n" not in message

    def test_nvcc_that_does_not_start(self, tmp_path):
        nvcc = write_nvcc(tmp_path)
        nvcc.write_text("#!/no/such/interpreter\n", encoding="utf-8")
        with pytest.raises(CudaUnavailable, match="nvcc cannot be started: No such file"):
            find_toolkit(environ(CUDA_HOME=tmp_path), [])

    def test_something_else_called_nvcc(self, tmp_path):
        write_script(tmp_path / "bin" / "nvcc", "echo hello")
        with pytest.raises(CudaUnavailable, match="is not an nvcc"):
            find_toolkit(environ(CUDA_HOME=tmp_path), [])

    @pytest.mark.parametrize("version", ["9.2", "11.8", "12.3"])
    def test_a_toolkit_that_is_too_old(self, tmp_path, version):
        nvcc = write_nvcc(tmp_path, version=version)
        with pytest.raises(CudaUnavailable) as caught:
            find_toolkit(environ(CUDA_HOME=tmp_path), [])
        assert str(caught.value) == (
            f"{nvcc} is of CUDA {version}, and the kernels need 12.4 or newer; $CUDA_HOME may name "
            "another toolkit"
        )

    @pytest.mark.parametrize(
        ("version", "arch_list", "devices", "architectures"),
        [
            # No GPU to be seen: a short list, and PTX for what is newer.
            ("12.4", "", [], "sm_80 sm_90 compute_90"),
            ("13.0", "", [], "sm_80 sm_90 compute_90"),
            # Every one that is new enough.
            ("12.4", "all", [], "sm_75 sm_80 sm_86 sm_87 sm_89 sm_90 compute_90"),
            (
                "13.0",
                " ALL ",
                [(9, 0)],
                "sm_75 sm_80 sm_86 sm_87 sm_88 sm_89 sm_90 sm_100 sm_103 sm_110 sm_120 sm_121 "
                "compute_121",
            ),
            # GPUs that are there: theirs alone.
            ("12.4", "", [(8, 6)], "sm_86"),
            ("12.4", "", [(9, 0), (7, 5), (9, 0)], "sm_75 sm_90"),
            ("12.4", "", [(6, 1), (8, 0)], "sm_80"),  # one is too old
            ("13.0", "", [(12, 2)], "sm_121"),  # unknown, a later minor
            ("12.4", "", [(12, 0)], "compute_90"),  # newer than nvcc
            # Asked for, whatever is there.
            ("12.4", "8.0", [(9, 0)], "sm_80"),
            ("13.0", "9.0a", [], "sm_90a"),
            ("13.0", "8.0;8.6 12.0+PTX", [], "sm_80 sm_86 sm_120 compute_120"),
            ("12.4", "5.2 6.0 7.0 7.5 8.0 8.0+PTX", [], "sm_75 sm_80 compute_80"),
        ],
    )
    def test_architectures(self, tmp_path, version, arch_list, devices, architectures):
        write_nvcc(tmp_path, version=version)
        variables = environ(CUDA_HOME=tmp_path, TORCH_CUDA_ARCH_LIST=arch_list)
        found = find_toolkit(variables, [], devices)
        assert " ".join(found.architectures) == architectures
        # What is tried out is compiled for them.
        flags = " ".join(found.architecture_flags)
        assert f"{flags} -c" in (tmp_path / "calls").read_text(encoding="utf-8")

    def test_architecture_flags(self, tmp_path):
        assert Toolkit(tmp_path, "13.0", ("sm_80", "sm_90a", "compute_90")).architecture_flags == [
            "-gencode=arch=compute_80,code=sm_80",
            "-gencode=arch=compute_90a,code=sm_90a",
            "-gencode=arch=compute_90,code=compute_90",
        ]

    @pytest.mark.parametrize("entry", ["Hopper", "90", "sm_90", "8.0+", "8."])
    def test_architectures_that_are_none(self, entry):
        with pytest.raises(CudaUnavailable, match="expected all, or entries such as 8.0") as caught:
            cuda_toolkit.choose_architectures(f"8.0;{entry}", [80])
        assert f"got {entry!r}" in str(caught.value)

    def test_architectures_that_are_too_old(self):
        with pytest.raises(CudaUnavailable, match="the kernels need 7.5 or newer, got '6.1;7.0'"):
            cuda_toolkit.choose_architectures("6.1;7.0", [75, 80])

    def test_gpus_that_are_too_old(self):
        message = "need a GPU of compute capability 7.5 or newer, and this machine has 6.1 and 7.0"
        with pytest.raises(CudaUnavailable, match=message):
            cuda_toolkit.choose_architectures("", [75, 80], [(7, 0), (6, 1)])

    def test_an_nvcc_that_knows_none(self):
        with pytest.raises(CudaUnavailable, match="this nvcc knows no GPU"):
            cuda_toolkit.choose_architectures("", [50, 70])

    def test_the_minimum_is_what_the_messages_say(self):
        assert cuda_toolkit.MINIMUM_TOOLKIT == (12, 4)
        assert cuda_toolkit.MINIMUM_ARCHITECTURE == 75

    @pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc")
    def test_a_real_nvcc(self):
        found = find_toolkit({**os.environ, "TORCH_CUDA_ARCH_LIST": "8.0"})
        assert found.nvcc.is_file()
        assert found.architectures == ("sm_80",)


def write_torch(folder, version):
    (folder / "torch").mkdir(parents=True)
    (folder / "torch" / "version.py").write_text(
        f"from typing import Optional\n\n__version__ = '{version}'\n", encoding="utf-8"
    )


class TestTargetTorch:
    @pytest.fixture(autouse=True)
    def only_torch_is_in(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sys, "path", list(sys.path))
        monkeypatch.setattr(target_torch, "site_folders", lambda: [tmp_path / "site"])

    @pytest.mark.parametrize("version", ["2.11.0a0+git1234", "2.13.0+cpu", "3.0.0"])
    def test_nothing_is_fetched_where_there_is_a_torch(self, tmp_path, version):
        write_torch(tmp_path / "site", version)
        assert backend.get_requires_for_build_wheel() == []
        assert backend.get_requires_for_build_editable() == []
        assert sys.path[-1] == str(tmp_path / "site")

    def test_torch_is_asked_for_where_there_is_none(self):
        assert backend.get_requires_for_build_wheel() == ["torch>=2.11.0a0"]

    def test_torch_is_asked_for_where_it_is_too_old(self, tmp_path):
        write_torch(tmp_path / "site", "2.9.1")
        assert backend.get_requires_for_build_wheel() == ["torch>=2.11.0a0"]
        assert str(tmp_path / "site") not in sys.path

    def test_build_without_torch_says_so(self, tmp_path):
        with pytest.raises(SystemExit, match="needs torch>=2.11.0a0, and no torch is installed"):
            backend.build_wheel(str(tmp_path))

    def test_build_with_an_old_torch_says_so(self, tmp_path):
        write_torch(tmp_path / "site", "2.9.1")
        with pytest.raises(
            SystemExit, match=r"needs torch>=2.11.0a0, and .*site holds torch 2.9.1"
        ):
            backend.build_editable(str(tmp_path))

    def test_the_first_folder_wins(self, tmp_path):
        write_torch(tmp_path / "one", "2.12.0")
        write_torch(tmp_path / "two", "2.13.0")
        folders = [tmp_path / "none", tmp_path / "one", tmp_path / "two"]
        assert target_torch.find(folders) == (tmp_path / "one", "2.12.0")


@pytest.mark.parametrize(("shared", "expected"), [("true", True), ("false", False)])
def test_system_packages_count_where_the_environment_sees_them(
    tmp_path, monkeypatch, shared, expected
):
    (tmp_path / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = {shared}\n", encoding="utf-8"
    )
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_prefix", "/base")
    monkeypatch.setattr(sys, "base_exec_prefix", "/base")
    folders = target_torch.site_folders()
    assert any(folder.is_relative_to("/base") for folder in folders) is expected


USAGE = ptxas_report.Usage("kernel", "sm_75", 32, 0, 0, 0, 1024, 1)


class TestBuildCommand:
    """BuildNative with the compiling taken out."""

    @pytest.fixture
    def build(self, tmp_path, monkeypatch):
        """Runs the command; returns it and the names of the extensions that were compiled."""
        toolkit = Toolkit(tmp_path, "13.0", ("sm_80", "sm_90", "compute_90"))
        parent = native.cpp_extension.BuildExtension
        compiled = []

        def compile_one(self, ext):
            if ext.name in self.failing:
                raise self.failing[ext.name]
            compiled.append(ext.name)
            if ext.name == "fused_rankloss._cuda":
                assert f"ptxas_report.py {toolkit.nvcc}" in os.environ["PYTORCH_NVCC"]
                table = Path(self.build_temp, "csrc", "cuda", "kernel.o.csv")
                table.parent.mkdir(parents=True, exist_ok=True)
                ptxas_report.write(table, [USAGE])

        def compile_all(self):
            for ext in self.extensions:
                self.build_extension(ext)

        monkeypatch.setattr(parent, "build_extension", compile_one)
        monkeypatch.setattr(parent, "build_extensions", compile_all)
        monkeypatch.setattr(native.atexit, "register", lambda *_, **__: None)
        monkeypatch.setattr(native.cpp_extension, "CUDA_HOME", None)
        monkeypatch.delenv("PYTORCH_NVCC", raising=False)
        monkeypatch.setenv("TORCH_NO_COMPILER_WRAPPER", "1")
        monkeypatch.setattr(native.cpp_extension, "_check_cuda_version", None)
        monkeypatch.setattr(native, "find_toolkit", lambda devices: toolkit)
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(native, "_devices", lambda: [])
        monkeypatch.setenv("MAX_JOBS", "2")
        monkeypatch.delenv("FUSED_RANKLOSS_CUDA", raising=False)

        def run(failing=(), error=None):
            command = native.BuildNative.__new__(native.BuildNative)
            error = error or RuntimeError("Error compiling objects for extension")
            command.failing = dict.fromkeys(failing, error)
            command.build_temp = str(tmp_path / "temp")
            command.get_ext_fullpath = lambda name: str(tmp_path / name)
            command.distribution = SimpleNamespace(get_version=lambda: "0.1.0")
            command.extensions = [
                SimpleNamespace(
                    name=f"fused_rankloss.{name}",
                    sources=["csrc/cuda/kernel.cu"],
                    include_dirs=[],
                    library_dirs=[],
                    extra_compile_args={},
                )
                for name in ("_cuda", "_C")
            ]
            command.build_extensions()
            facts = (tmp_path / "temp" / "generated" / "build_facts.h").read_text(encoding="ascii")
            return command, compiled, facts

        return run

    def test_both_are_built(self, build):
        command, compiled, facts = build()
        assert compiled == ["fused_rankloss._cuda", "fused_rankloss._C"]
        assert '#define FUSED_RANKLOSS_CUDA_TOOLKIT "13.0"\n' in facts
        assert '#define FUSED_RANKLOSS_CUDA_ARCHITECTURES "sm_80 sm_90 compute_90"\n' in facts
        assert '#define FUSED_RANKLOSS_CUDA_SKIPPED ""\n' in facts
        assert command._summary() == (
            "fused_rankloss: built with CUDA 13.0 kernels for sm_80 sm_90 compute_90"
        )

    def test_what_kernels_take_is_written_beside_them(self, build, tmp_path):
        build()
        assert ptxas_report.read(tmp_path / native.PTXAS_REPORT) == [USAGE]
        assert "PYTORCH_NVCC" not in os.environ

    def test_cuda_sources_that_do_not_compile_are_left_out(self, build):
        command, compiled, facts = build(failing=["fused_rankloss._cuda"])
        assert compiled == ["fused_rankloss._C"]
        assert [ext.name for ext in command.extensions] == ["fused_rankloss._C"]
        assert '#define FUSED_RANKLOSS_CUDA_TOOLKIT ""\n' in facts
        assert '#define FUSED_RANKLOSS_CUDA_SKIPPED "csrc/cuda did not compile with' in facts
        assert "built for the CPU only, because csrc/cuda did not compile" in command._summary()

    def test_a_failing_compiler_is_quoted(self, build, tmp_path, capsys):
        said = 'csrc/cuda/kernel.cu(3): error: identifier "x" is undefined'
        kernel = tmp_path / "temp" / "csrc" / "cuda" / "kernel.o"
        kernel.parent.mkdir(parents=True)
        ptxas_report.error_beside(kernel).write_text(said, encoding="utf-8")
        command, _, _ = build(failing=["fused_rankloss._cuda"])
        assert f"did not compile with {tmp_path}/bin/nvcc (CUDA 13.0): {said}" in command._summary()
        assert f"{'*' * 78}\n{command._summary()}\n" in capsys.readouterr().err

    def test_a_failing_linker_is_quoted(self, build, monkeypatch, capfd):
        said = "/usr/bin/ld: b.o: in function `f': multiple definition of `f'; a.o: first defined"
        parent = native.cpp_extension.BuildExtension
        compile_one = parent.build_extension

        def link_one(self, ext):
            if ext.name in self.failing:
                subprocess.run(["sh", "-c", 'printf "%s\n" "$1" note >&2', "sh", said], check=True)
            compile_one(self, ext)

        monkeypatch.setattr(parent, "build_extension", link_one)
        error = native.LinkError("command 'g++' failed with exit code 1")
        command, compiled, facts = build(failing=["fused_rankloss._cuda"], error=error)
        assert compiled == ["fused_rankloss._C"]
        assert "csrc/cuda did not link with" in command._summary()
        assert f": {said} (the build log" in command._summary()
        assert "multiple definition" in facts
        err = capfd.readouterr().err
        assert f"\n{said}\nnote\n***" in err and command._summary() in err

    def test_cpu_sources_that_do_not_compile_are_an_error(self, build):
        with pytest.raises(RuntimeError, match="Error compiling objects"):
            build(failing=["fused_rankloss._C"])

    def test_no_toolkit_means_cpu_only(self, build, monkeypatch):
        self.without_toolkit(monkeypatch)
        command, compiled, facts = build()
        assert compiled == ["fused_rankloss._C"]
        assert '#define FUSED_RANKLOSS_CUDA_SKIPPED "no nvcc \\"here\\""\n' in facts

    def test_no_toolkit_is_an_error_on_demand(self, build, monkeypatch):
        self.without_toolkit(monkeypatch)
        monkeypatch.setenv("FUSED_RANKLOSS_CUDA", "1")
        with pytest.raises(SystemExit, match="FUSED_RANKLOSS_CUDA=1 asks for.*, but no nvcc"):
            build()

    def test_failing_cuda_sources_are_an_error_on_demand(self, build, monkeypatch):
        monkeypatch.setenv("FUSED_RANKLOSS_CUDA", "1")
        with pytest.raises(SystemExit, match="but csrc/cuda did not compile"):
            build(failing=["fused_rankloss._cuda"])

    def test_cuda_can_be_switched_off(self, build, monkeypatch):
        monkeypatch.setenv("FUSED_RANKLOSS_CUDA", "0")
        _, compiled, facts = build()
        assert compiled == ["fused_rankloss._C"]
        assert "built with FUSED_RANKLOSS_CUDA=0" in facts

    def test_another_value_is_refused(self, build, monkeypatch):
        monkeypatch.setenv("FUSED_RANKLOSS_CUDA", "yes")
        with pytest.raises(SystemExit, match="expected auto, 0 or 1, got 'yes'"):
            build()

    def test_a_rocm_torch_gets_no_cuda(self, build, monkeypatch):
        monkeypatch.setattr(torch.version, "hip", "6.4")
        _, compiled, facts = build()
        assert compiled == ["fused_rankloss._C"]
        assert "is a ROCm build" in facts

    def test_a_torch_without_cuda_gets_no_cuda(self, build, monkeypatch, capsys):
        monkeypatch.setattr(torch.version, "cuda", None)
        command, compiled, facts = build()
        assert compiled == ["fused_rankloss._C"]
        reason = f"torch {torch.__version__} has no CUDA"
        assert f'#define FUSED_RANKLOSS_CUDA_SKIPPED "{reason}"\n' in facts
        assert command._summary() == f"fused_rankloss: built for the CPU only, because {reason}"
        assert f"; no CUDA kernels, because {reason}\n" in capsys.readouterr().err

    def test_a_torch_without_cuda_gets_cuda_on_demand(self, build, monkeypatch):
        monkeypatch.setattr(torch.version, "cuda", None)
        monkeypatch.setenv("FUSED_RANKLOSS_CUDA", "1")
        _, compiled, _ = build()
        assert compiled == ["fused_rankloss._cuda", "fused_rankloss._C"]

    def test_what_is_compiled_is_said_first(self, build, monkeypatch, capsys):
        build()
        each = native.NVCC_SECONDS + 2 * native.ARCHITECTURE_SECONDS
        seconds = (each + native.CXX_SECONDS) / 2
        assert capsys.readouterr().err.startswith(
            "fused_rankloss: compiling 1 CUDA files for sm_80 sm_90 compute_90 and 1 C++ files, "
            f"about {native._minutes(seconds)} on 2 cores\n"
        )
        # Once more, with what was compiled.
        monkeypatch.setattr(ptxas_report, "is_outdated", lambda _: False)
        monkeypatch.setattr(Path, "exists", lambda _: True)
        build()
        assert capsys.readouterr().err.startswith(
            "fused_rankloss: compiling what has changed of 1 CUDA files for sm_80 sm_90 compute_90 "
            "and 1 C++ files\n"
        )

    @pytest.mark.parametrize(
        ("seconds", "words"), [(1, "a minute"), (80, "a minute"), (100, "2 minutes")]
    )
    def test_minutes(self, seconds, words):
        assert native._minutes(seconds) == words

    def test_as_many_compilers_as_cores(self, build, monkeypatch):
        monkeypatch.delenv("MAX_JOBS")
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5})
        build()
        assert os.environ["MAX_JOBS"] == "3"
        assert not any("threads" in flag for flag in native.NVCC_FLAGS)

    def test_gpus_that_are_there_are_asked(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert native._devices() == []
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: (8, 6 + i))
        assert native._devices() == [(8, 6), (8, 7)]

    def test_experiments_need_their_architecture(self, build, monkeypatch, tmp_path):
        monkeypatch.setattr(native, "EXPERIMENTAL", True)
        build()
        toolkit = Toolkit(tmp_path, "13.0", ("sm_80",))
        monkeypatch.setattr(native, "find_toolkit", lambda devices: toolkit)
        with pytest.raises(SystemExit, match="expected 9.0 among the architectures, got sm_80"):
            build()

    def test_a_compiler_that_is_killed_ends_the_build(self, build, tmp_path):
        said = "nvcc error   : 'cicc' died due to signal 9 (Kill signal)"
        kernel = tmp_path / "temp" / "csrc" / "cuda" / "kernel.o"
        kernel.parent.mkdir(parents=True)
        ptxas_report.error_beside(kernel).write_text(said, encoding="utf-8")
        with pytest.raises(SystemExit, match="signal 9.*Has memory run out"):
            build(failing=["fused_rankloss._cuda"])

    def test_no_compiler(self, build, monkeypatch):
        monkeypatch.setenv("CXX", "/no/such/c++")
        with pytest.raises(SystemExit, match="needs a C.*20 compiler.*'/no/such/c.*cannot be star"):
            build()

    def test_compiler_that_fails(self, build, tmp_path, monkeypatch):
        script = write_script(tmp_path / "c++", "echo 'unknown option -std=c++20' >&2; exit 1")
        monkeypatch.setenv("CXX", str(script))
        with pytest.raises(SystemExit, match=r"empty C\+\+20 file: unknown option"):
            build()

    @staticmethod
    def without_toolkit(monkeypatch):
        def find(devices):
            raise CudaUnavailable('no nvcc "here"')

        monkeypatch.setattr(native, "find_toolkit", find)


COMPILER = """
    case "$*" in *--version*|*--list-gpu-code*|*probe.cu*) ;; *)
      while [ $# -gt 0 ]; do
        case "$1" in -c) source=$2 ;; -o) object=$2 ;; -MF) list=$2 ;; esac
        shift
      done
      echo "$source" >> "$(dirname "$0")/compiled"
      exec c++ -x c++ -fPIC -MD -MF "$list" -c "$source" -o "$object"
    esac
"""


@pytest.mark.skipif(shutil.which("ninja") is None, reason="no ninja")
class TestSecondBuild:
    """Builds of a small project, with all of torch's machinery and an nvcc that is c++."""

    @pytest.fixture
    def build(self, tmp_path, monkeypatch):
        """Builds as a fresh `pip install .` does; returns the names of the files compiled."""
        nvcc = write_nvcc(tmp_path / "toolkit", body=COMPILER)
        folder = tmp_path / "a project" / "csrc"
        (folder / "cuda").mkdir(parents=True)
        (folder / "cpu.cpp").write_text('#include "common.h"\nint cpu() { return common; }\n')
        (folder / "common.h").write_text("constexpr int common = 1;\n")
        for name in ("one", "two"):
            (folder / "cuda" / f"{name}.cu").write_text(
                f'#include "{name}.cuh"\n#include "../common.h"\nint {name}() {{ return {name}_; }}'
            )
            (folder / "cuda" / f"{name}.cuh").write_text(f"constexpr int {name}_ = 1;\n")
        monkeypatch.chdir(folder.parent)
        monkeypatch.setattr(native.atexit, "register", lambda *_, **__: None)
        monkeypatch.setattr(native.cpp_extension, "CUDA_HOME", None)
        monkeypatch.setattr(native.cpp_extension, "_check_cuda_version", None)
        monkeypatch.setattr(native, "CUDA_LINK_FLAGS", [])
        monkeypatch.setattr(native, "_devices", lambda: [(8, 0)])
        monkeypatch.setattr(sys, "argv", ["setup.py"])
        for name in ("CUDA_PATH", "TORCH_CUDA_ARCH_LIST", "PYTORCH_NVCC"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("CUDA_HOME", str(nvcc.parent.parent))
        monkeypatch.setenv("TORCH_NO_COMPILER_WRAPPER", "1")
        monkeypatch.setenv("FUSED_RANKLOSS_CUDA", "1")
        monkeypatch.setenv("MAX_JOBS", "2")

        def run():
            shutil.rmtree(folder.parent / "build" / "lib", ignore_errors=True)
            log = nvcc.with_name("compiled")
            log.unlink(missing_ok=True)
            cpu = folder.parent / "build" / "temp" / "csrc" / "cpu.o"
            before = cpu.stat().st_mtime_ns if cpu.exists() else 0
            distribution = setuptools.Distribution(
                {
                    "name": "small",
                    "version": "1",
                    "ext_modules": native.extensions(
                        ["csrc/cpu.cpp"], ["csrc/cuda/one.cu", "csrc/cuda/two.cu"]
                    ),
                    "cmdclass": {"build_ext": native.BuildNative},
                }
            )
            command = distribution.get_command_obj("build_ext")
            command.build_lib, command.build_temp = "build/lib", "build/temp"
            command.ensure_finalized()
            command.run()
            compiled = log.read_text().split("\n")[:-1] if log.exists() else []
            names = [Path(path).name for path in compiled]
            return sorted(names + ["cpu.cpp"] * (cpu.stat().st_mtime_ns != before))

        return run

    @pytest.mark.parametrize("cuda_of_torch", [None, "13.0"])
    def test_compiles_what_changed(self, build, monkeypatch, cuda_of_torch):
        monkeypatch.setattr(torch.version, "cuda", cuda_of_torch)

        def change(name):
            path = Path("csrc", name)
            path.write_text(path.read_text())

        assert build() == ["cpu.cpp", "one.cu", "two.cu"]
        assert build() == []
        change("cuda/one.cuh")
        assert build() == ["one.cu"]
        change("common.h")
        assert build() == ["cpu.cpp", "one.cu", "two.cu"]
        change("cuda/two.cu")
        assert build() == ["two.cu"]
        # Another number of compilers at once is no other command.
        monkeypatch.setenv("MAX_JOBS", "1")
        assert build() == []
        # Another architecture is.
        monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0")
        assert build() == ["one.cu", "two.cu"]

    def test_no_path_changes_from_build_to_build(self):
        """pip's build isolation keeps what it installs for a build in a new folder each time."""
        for ext in native.extensions(["csrc/ops.cpp"], ["csrc/cuda/launch/sort.cu"]):
            folders = [Path(torch.__file__).parent, ROOT / "csrc"]
            for path in map(Path, ext.include_dirs):
                assert any(path.is_relative_to(folder) for folder in folders), path


def run_python(code, *options, **environment):
    return subprocess.run(
        [sys.executable, *options, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        cwd=Path(fused_rankloss.__file__).parent,
        capture_output=True,
        text=True,
    )


class TestLoading:
    def test_build_info(self):
        info = fused_rankloss.build_info()
        types = {
            "cpu_isa": str,
            "version": str,
            "compiler": str,
            "torch_target": str,
            "torch": str,
            "cuda_toolkit": (str, type(None)),
            "cuda_architectures": list,
            "experimental": bool,
            "cuda_loaded": bool,
            "cuda_unavailable_reason": (str, type(None)),
        }
        assert info.keys() == types.keys()
        for name, kind in types.items():
            assert isinstance(info[name], kind), name
        assert info["torch_target"] == "{}.{}".format(*target_torch.MINIMUM)
        assert info["torch"] == torch.__version__
        assert info["cuda_loaded"] is (info["cuda_unavailable_reason"] is None)
        assert bool(info["cuda_architectures"]) is (info["cuda_toolkit"] is not None)
        assert all(re.fullmatch(r"(sm|compute)_\d+[af]?", x) for x in info["cuda_architectures"])

    def test_build_info_is_the_callers_own(self):
        fused_rankloss.build_info()["cuda_architectures"].append("sm_1")
        assert "sm_1" not in fused_rankloss.build_info()["cuda_architectures"]

    def test_import_initialises_no_cuda(self):
        done = run_python("""
            import fused_rankloss, torch
            assert not torch.cuda.is_initialized()
        """)
        assert done.returncode == 0, done.stderr

    def test_require_cuda_says_how_to_rebuild(self, monkeypatch):
        monkeypatch.setattr(_extension, "_cuda_unavailable_reason", None)
        _extension.require_cuda("some_loss")
        monkeypatch.setattr(torch.version, "cuda", None)
        monkeypatch.setattr(_extension, "_cuda_unavailable_reason", _extension._load_cuda_kernels())
        with pytest.raises(RuntimeError) as caught:
            _extension.require_cuda("some_loss")
        assert str(caught.value).startswith(
            "some_loss: got CUDA tensors, but this installation of fused_rankloss has no CUDA"
        )
        assert "install " in str(caught.value)  # a torch with CUDA
        assert str(caught.value).endswith(
            "FUSED_RANKLOSS_CUDA=1 pip install --no-cache-dir --force-reinstall --no-deps ."
        )

    @pytest.mark.skipif(
        torch.version.cuda is not None or _extension._C.build_info()["cuda_toolkit"] is None,
        reason="needs CUDA kernels and a torch that cannot load them",
    )
    def test_cuda_kernels_that_do_not_load_leave_the_cpu_kernels(self):
        done = run_python("""
            import torch
            torch.version.cuda = "13.0"
            import fused_rankloss
            info = fused_rankloss.build_info()
            assert not info["cuda_loaded"]
            print(info["cuda_unavailable_reason"])
        """)
        assert done.returncode == 0, done.stderr
        assert f"does not load with torch {torch.__version__}" in done.stdout

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            (["csrc/module.cpp"], "run from another folder, and `pytest` rather than"),
            ([], "_C is missing from"),
            (["fused_rankloss/_C.cpython-39-x86_64-linux-gnu.so"], "built for another Python"),
            (
                [f"fused_rankloss/_C{importlib.machinery.EXTENSION_SUFFIXES[0]}"],
                f"does not load with torch {torch.__version__}",
            ),
        ],
    )
    def test_a_missing_module_says_what_to_do(self, tmp_path, files, message):
        package = tmp_path / "fused_rankloss"
        package.mkdir()
        (package / "__init__.py").touch()
        shutil.copy(_extension.__file__, package)
        for name in files:
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        # -S: without the hooks of an editable install, which would find the package first.
        path = os.pathsep.join([str(tmp_path), str(Path(torch.__file__).parent.parent)])
        done = run_python("import fused_rankloss._extension", "-S", PYTHONPATH=path)
        assert "ImportError: fused_rankloss" in done.stderr
        assert message in done.stderr
