"""Long lists whose small class alone is sorted on a GPU, chosen by a variable of the environment.

Gradients are counts, the same with it and without; losses are rounded sums of other terms.
"""

from __future__ import annotations

import pytest

from isolated import run_python

pytestmark = pytest.mark.gpu

# More slots than one launch sorts (csrc/cuda/policy.h); either class small, by one item or by more
# than a block keeps at hand; as small as asked for and no more; none; three levels.
LISTS = """
    import hashlib
    import torch
    from fused_rankloss import pairwise_hinge_loss

    n = 300_000
    for dtype in (torch.float32, torch.float64):
        for small, levels in [(1, 2), (9000, 2), (n // 32, 2), (n // 32 + 1, 2), (40, 3)]:
            generator = torch.Generator("cuda").manual_seed(small)
            order = torch.randperm(n, generator=generator, device="cuda")
            scores = torch.randn(n, generator=generator, device="cuda").to(dtype)
            margins = torch.tensor([0.5, 1.0, -0.25], device="cuda")
            for sign in (1, -1):
                labels = sign * (order < small).int()
                labels[: levels - 2] = 2
                for boundary_grad in (0.0, 1.0):
                    options = {"margin": margins, "boundary_grad": boundary_grad}
                    leaf = scores.round(decimals=3).requires_grad_()
                    loss = pairwise_hinge_loss(leaf, labels, reduction="sum", **options)
                    for k in range(3):
                        grad, = torch.autograd.grad(loss[k], leaf, retain_graph=True)
                        digest = hashlib.sha256(grad.cpu().numpy().tobytes()).hexdigest()
                        print(digest, loss[k].item())
"""


def test_same_results_as_by_sorting_all() -> None:
    sorted_all, small_class, again = (
        [line.split() for line in run_python(LISTS, FUSED_RANKLOSS_SMALL_CLASS=on).splitlines()]
        for on in ("0", "1", "1")
    )
    assert small_class == again, "bitwise the same twice"
    assert len(sorted_all) == 2 * 5 * 2 * 2 * 3
    for (digest, loss), (other_digest, other_loss) in zip(sorted_all, small_class, strict=True):
        assert digest == other_digest
        # Each is the exact sum of compensated terms, rounded to fp32 at worst.
        assert float(other_loss) == pytest.approx(float(loss), rel=2.0**-23)
