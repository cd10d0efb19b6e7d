"""The search of Hopper GPUs, chosen by a variable of the environment: the same bits as without.

On another GPU both runs take the same kernels.
"""

from __future__ import annotations

import pytest

from support.isolated import run_python

pytestmark = pytest.mark.gpu

# Sizes from kHopperRows on (csrc/cuda/triplet/policy.h); one and several chunks of 64 or 32 numbers
# per row; the symmetric schedule with even and odd numbers of row blocks; classes within and beyond
# a tile.
SEARCHES = """
    import faulthandler, hashlib
    import torch
    from fused_rankloss import batch_hard_triplet_loss

    faulthandler.dump_traceback_later(600, exit=True)  # a kernel that waits for ever

    def rows(count, dim, dtype):
        return torch.randn(count, dim, generator=generator, device="cuda").to(dtype)

    for size, refs, dim, classes, dtype in [
        (4096, 0, 64, 500, torch.float16),
        (4300, 0, 130, 7, torch.bfloat16),
        (5000, 0, 250, 300, torch.float32),
        (4224, 9000, 512, 40, torch.float16),
        (4097, 4100, 3, 2, torch.float64),
        (20000, 0, 128, 4000, torch.bfloat16),
    ]:
        generator = torch.Generator("cuda").manual_seed(size)
        x = rows(size, dim, dtype).requires_grad_()
        labels = torch.randint(classes, (size,), generator=generator, device="cuda")
        given = {}
        if refs:
            given["ref_embeddings"] = rows(refs, dim, dtype)
            given["ref_labels"] = torch.randint(
                classes, (refs,), generator=generator, device="cuda"
            )
        for _ in range(5):
            loss, mined = batch_hard_triplet_loss(x, labels, return_mined=True, **given)
            grad, = torch.autograd.grad(loss, x)
            results = [t.contiguous().cpu() for t in (loss.detach(), grad, *mined)]
            digest = hashlib.sha256()
            for t in results:
                digest.update(t.reshape(-1).view(torch.uint8).numpy().tobytes())
            print(size, refs, dim, dtype, digest.hexdigest())
"""


def test_same_bits_as_the_search_of_all_gpus() -> None:
    usual = run_python(SEARCHES, FUSED_RANKLOSS_HOPPER="0")
    assert run_python(SEARCHES, FUSED_RANKLOSS_HOPPER="1") == usual
    assert len(set(usual.splitlines())) == 6, "each of them five times the same"
