"""The planted bugs of planted.py: that they can be planted. What finds them, that script shows."""

from __future__ import annotations

import planted
import pytest


@pytest.mark.parametrize("bug", planted.PLANTED, ids=lambda bug: bug.name)
def test_the_quoted_text_exists(bug: planted.Planted) -> None:
    assert (planted.CSRC / bug.file).read_text().count(bug.old) == 1
    assert (planted.HERE / bug.tests).exists()
