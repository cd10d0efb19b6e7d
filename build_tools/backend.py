"""PEP 517 and PEP 660 hooks: setuptools' own, with the torch that the user already has.

A build requirement `torch` would make pip fetch a second torch (several GB) and compile against
that one. So torch is asked for only where the target environment has none.
"""

import shutil
import sys
from pathlib import Path

from setuptools import build_meta
from setuptools.build_meta import (  # noqa: F401  (hooks that setuptools does as they should be)
    build_sdist,
    get_requires_for_build_sdist,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

from build_tools import target_torch


def get_requires_for_build_wheel(config_settings=None):
    """What a build needs beyond pyproject.toml: torch, where there is none to build against."""
    return [] if target_torch.make_importable() else [target_torch.REQUIREMENT]


get_requires_for_build_editable = get_requires_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    """Compiles the package and writes its wheel into `wheel_directory`."""
    _prepare()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    """Compiles the package in its source folder and writes a wheel that points there."""
    _prepare()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)


def _prepare():
    if target_torch.make_importable() is None:
        found = target_torch.find(target_torch.site_folders())
        sys.exit(
            f"fused_rankloss: building needs {target_torch.REQUIREMENT}, and "
            + (f"{found[0]} holds torch {found[1]}" if found else "no torch is installed")
            + ". Install it first, or build without --no-build-isolation."
        )
    # setuptools packs all files that an earlier build left in build/lib*, deleted modules included.
    for leftover in Path("build").glob("lib*"):
        shutil.rmtree(leftover)
