"""Runs a piece of Python in a process of its own, for what is fixed once a process has started."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).parents[1]  # tests/


def python_environment(**changes: str) -> dict[str, str]:
    """Of a process that may import the modules of this folder."""
    path = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, **changes}


def run_python(code: str, **environment: str) -> str:
    """What the code prints. It may import the modules of this folder."""
    finished = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=python_environment(**environment),
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout
