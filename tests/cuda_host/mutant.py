"""A bug to plant into a kernel."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One piece of text of a file in csrc/cuda, and what takes its place."""

    name: str
    file: str
    old: str  # occurs once in the file
    new: str
    launcher: str = ""  # to try first, where several include the file
