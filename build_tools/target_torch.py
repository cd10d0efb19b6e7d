"""Finds the torch of the environment that the package is being installed into.

Under build isolation pip runs this interpreter (the environment's own) with the environment's
site folders taken off sys.path. They are still there, so the build uses the torch in them: it
compiles against what the user has, and no second torch of several GB is fetched.
"""

import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

MINIMUM = (2, 11)
REQUIREMENT = "torch>=2.11.0a0"  # a0: vendors' pre-releases of 2.11 count


def site_folders() -> list[Path]:
    """Folders in which this interpreter's environment keeps its packages, nearest first."""
    folders = [*sys.path, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    if sys.prefix == sys.base_prefix or _sees_system_packages():
        # Outside a virtual environment getsitepackages() names the system's folders, inside one
        # only the environment's: so ask for the base interpreter's by prefix.
        folders += site.getsitepackages([sys.base_prefix, sys.base_exec_prefix])
        folders.append(site.getusersitepackages())
    return list(dict.fromkeys(Path(folder).absolute() for folder in folders if folder))


def _sees_system_packages() -> bool:
    """Whether this virtual environment was made with --system-site-packages."""
    try:
        config = Path(sys.prefix, "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return False
    return re.search(r"(?mi)^include-system-site-packages\s*=\s*true", config) is not None


def find(folders: Iterable[str | os.PathLike]) -> tuple[Path, str] | None:
    """The first folder that holds a torch, and that torch's version; None where there is none.

    torch/version.py is read, not imported: importing torch takes seconds, and a broken torch
    should be reported by the build, not here.
    """
    for folder in map(Path, folders):
        try:
            text = (folder / "torch" / "version.py").read_text(encoding="utf-8")
        except OSError:
            continue
        version = re.search(r"__version__\s*=\s*['\"]([^'\"]+)", text)
        if version:
            return folder, version[1]
    return None


def is_recent_enough(version: str) -> bool:
    """Whether a torch version string such as '2.13.0+cpu' is at least MINIMUM."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= MINIMUM


def make_importable() -> str | None:
    """Puts the torch of the target environment on sys.path and returns its version.

    The folders go to the end of sys.path, so that the build environment's own setuptools and ninja
    stay first; all of them, since torch's dependencies need not lie beside it.
    Returns None, and changes nothing, where no torch >= MINIMUM is installed.
    """
    folders = site_folders()
    found = find(folders)
    if found is None or not is_recent_enough(found[1]):
        return None
    sys.path.extend(str(folder) for folder in folders if str(folder) not in sys.path)
    return found[1]
