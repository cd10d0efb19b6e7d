"""What of the build has run: every kernel, at least once a session."""

from __future__ import annotations

import pytest
from machine import Kernels

# Kernels that no test of a plain session runs, and why. A pattern is a part of the name.
NEVER_RUN = {
    "cub::": "of CUB's variants a device and a size choose few",
}


def test_every_instruction_is_known(ptx_kernels: Kernels) -> None:
    unknown = ptx_kernels.parse_all()
    assert not unknown, unknown


@pytest.mark.ptx_last
def test_every_kernel_has_run(ptx_kernels: Kernels, request: pytest.FixtureRequest) -> None:
    if request.config.option.keyword or request.session.testsfailed:
        pytest.skip("only a whole session that passes can run every kernel")
    idle = [
        kernel.name
        for kernel in ptx_kernels.coverage()
        if not kernel.launches and not any(part in kernel.name for part in NEVER_RUN)
    ]
    assert not idle, "never run:\n" + "\n".join(idle)
