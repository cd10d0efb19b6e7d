"""A loss that is kept after its backward pass keeps nothing else, and neither does a failed one."""

from __future__ import annotations

import weakref

import pytest
import torch

import fused_rankloss as F

Y = torch.tensor([[2, 0, 1, 0], [1, 1, 0, 2]])
CLASSES = torch.arange(8) // 2

LISTS = {
    "pairwise": lambda s: F.pairwise_hinge_loss(s, Y.to(s.device)),
    "margins": lambda s: F.pairwise_hinge_loss(s, Y.to(s.device), margin=s.sum()),
    "lambda": lambda s: F.lambda_loss(s, Y.to(s.device)),
    "listwise": lambda s: F.listnet_loss(s, Y.to(s.device)),
}
ROWS = {
    "triplet": lambda x, refs: F.triplet_loss(x, refs, x.flip(0)),
    **{
        f"{mining}-{reduction}": lambda x, refs, mining=mining, reduction=reduction: getattr(
            F, f"batch_{mining}_triplet_loss"
        )(
            x,
            CLASSES.to(x.device),
            ref_embeddings=refs,
            ref_labels=CLASSES.to(x.device),
            reduction=reduction,
        ).sum()
        for mining in ("hard", "semi_hard", "all")
        for reduction in ("mean", "none")
    },
}


@pytest.mark.parametrize("name", LISTS)
def test_scores_are_freed(name: str, device: str) -> None:
    leaf = torch.randn(2, 4, device=device, requires_grad=True)
    scores = leaf * 2
    alive = weakref.ref(scores)
    loss = LISTS[name](scores)
    loss.backward()
    del scores
    assert alive() is None and leaf.grad is not None and loss.isfinite()


@pytest.mark.parametrize("name", ROWS)
def test_embeddings_are_freed(name: str, device: str) -> None:
    leaf = torch.randn(8, 3, device=device, requires_grad=True)
    x, refs = leaf * 2, leaf + 1
    alive = [weakref.ref(x), weakref.ref(refs)]
    loss = ROWS[name](x, refs)
    loss.backward()
    del x, refs
    assert [ref() for ref in alive] == [None, None] and loss.isfinite()


@pytest.mark.parametrize("name", [*LISTS, *ROWS])
def test_backward_twice_and_then_a_graph(name: str, device: str) -> None:
    """Gradients that are retained come out twice the same; a graph of them is refused, either when
    it is asked for or, at the latest, when it is used."""
    if name in LISTS:
        leaf = torch.randn(2, 4, device=device, requires_grad=True)
        loss = LISTS[name](leaf * 2)
    else:
        leaf = torch.randn(8, 3, device=device, requires_grad=True)
        loss = ROWS[name](leaf * 2, leaf + 1)
    (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    (second,) = torch.autograd.grad(loss, leaf, retain_graph=True)
    assert torch.equal(first, second)
    with pytest.raises(NotImplementedError, match="second derivatives .* not implemented"):
        (grad,) = torch.autograd.grad(loss, leaf, create_graph=True)
        grad.sum().backward()
