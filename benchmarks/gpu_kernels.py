"""Every CUDA kernel at least once, on small inputs, forward and backward: for compute-sanitizer.

    compute-sanitizer --tool racecheck python -m benchmarks.gpu_kernels

The results are those of the tests; here they must only be finite. Lengths and widths are chosen
against tiles: below one, one more than one, several. What a variable of the environment switches on
comes with --only, and alone: batches large enough for the search of Hopper GPUs
(FUSED_RANKLOSS_HOPPER=1).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from functools import partial
from itertools import cycle, product

import torch
from torch import Tensor

from benchmarks.family import DTYPES
from benchmarks.pairwise.losses import LOSSES as LIST_LOSSES
from benchmarks.triplet.losses import LOSSES as EMBEDDING_LOSSES
from fused_rankloss import (
    approx_ndcg_loss,
    lambda_loss,
    list_mle_loss,
    listnet_loss,
)
from fused_rankloss.functional.lambda_loss import PAIR_LOSSES, SCHEMES, TRUNCATIONS

LENGTHS = (5, 129, 1000)
# Sorted within their one kernel, and by a library (csrc/cuda/pairwise/policy.h).
LONG = (11_000, 210_000)
SHAPES = ((5, 3), (129, 65), (300, 128))


def list_losses(device: str) -> Iterator[tuple[str, Tensor]]:
    """One list, a padded and a flat batch; binary, graded; weights, and margins with gradient."""
    for loss, dtype, n in product(LIST_LOSSES.values(), DTYPES.values(), LENGTHS):
        scores = torch.randn(3, n, device=device, dtype=dtype).requires_grad_()
        labels = torch.randint(3, (3, n), device=device)
        weights = torch.rand(3, n, device=device)
        margins = torch.tensor([0.5, 1.0], device=device, requires_grad=True)
        lengths = torch.tensor([n, 0, n // 2], device=device)
        offsets = torch.tensor([0, 2, 2, 3 * n], device=device)
        name = f"{loss.name} {dtype} {n}"
        yield f"{name} one list", loss.fused(scores[0], labels[0] > 0)
        yield f"{name} padded", loss.fused(scores, labels, lengths=lengths, weights=weights)
        flat = loss.fused(scores.flatten(), labels.flatten(), offsets=offsets, margin=margins)
        yield f"{name} flat", flat.sum()


def long_list_losses(device: str) -> Iterator[tuple[str, Tensor]]:
    """One list, and a weighted batch with a short one before it."""
    for loss, dtype, n in product(LIST_LOSSES.values(), DTYPES.values(), LONG):
        scores = torch.randn(n, device=device, dtype=dtype).requires_grad_()
        labels = torch.randint(3, (n,), device=device)
        weights = torch.rand(n, device=device)
        offsets = torch.tensor([0, 300, n], device=device)
        name = f"{loss.name} {dtype} {n}"
        yield f"{name} one list", loss.fused(scores, labels)
        yield f"{name} flat", loss.fused(scores, labels, offsets=offsets, weights=weights)


def ragged_losses(device: str) -> Iterator[tuple[str, Tensor]]:
    """Batches with lists of a warp and of a block, and some too long for the block to enumerate."""
    for loss, dtype, most in product(LIST_LOSSES.values(), DTYPES.values(), (100, 900, 3000)):
        lengths = torch.randn(300, device=device).mul(1.2).exp().mul(60).long().clamp(0, most)
        lengths[7] = most
        offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
        scores = torch.randn(300, most, device=device, dtype=dtype).requires_grad_()
        labels = torch.randint(5, (300, most), device=device)
        real = torch.arange(most, device=device) < lengths[:, None]
        name = f"{loss.name} {dtype} up to {most}"
        yield f"{name} padded", loss.fused(scores, labels, lengths=lengths)
        yield f"{name} flat", loss.fused(scores[real], labels[real], offsets=offsets)


def ranking_losses(device: str) -> Iterator[tuple[str, Tensor]]:
    """Every scheme with every pair loss and every truncation; the listwise losses; dtypes in turn.

    One list, a padded and a flat batch, whose longest list is three times as long.
    """
    lambdas = [{"scheme": s, "pair_loss": p} for s, p in product(SCHEMES, PAIR_LOSSES)]
    lambdas += [{"scheme": s, "truncation": t, "k": 3} for s, t in product(SCHEMES, TRUNCATIONS)]
    lambdas += [{"k": 30, "score_normalization": True, "list_normalization": True}]
    losses = {f"lambda {options}": partial(_lambda_loss, **options) for options in lambdas}
    losses |= {"listnet": listnet_loss, "list_mle": list_mle_loss, "approx_ndcg": approx_ndcg_loss}
    losses["p_list_mle"] = partial(list_mle_loss, position_weights="exponential")
    dtypes = cycle(DTYPES.values())  # four, for three lengths: each length meets them all
    for (title, loss), n in product(losses.items(), LENGTHS):
        dtype = next(dtypes)
        scores = torch.randn(3, n, device=device, dtype=dtype).requires_grad_()
        labels = torch.randint(5, (3, n), device=device)
        weights = torch.rand(3, n, device=device)
        lengths = torch.tensor([n, 0, n // 2], device=device)
        offsets = torch.tensor([0, 2, 2, 3 * n], device=device)
        name = f"{title} {dtype} {n}"
        yield f"{name} one list", loss(scores[0], labels[0])
        yield f"{name} padded", loss(scores, labels, lengths=lengths, weights=weights)
        yield f"{name} flat", loss(scores.flatten(), labels.flatten(), offsets=offsets)


def _lambda_loss(*tensors: Tensor, **options: object) -> Tensor:
    return lambda_loss(*tensors, return_statistics=True, **options)[0]


def batch_triplet_losses(device: str) -> Iterator[tuple[str, Tensor]]:
    """Among the batch and against references; hinge with a gradient for the margin, and soft."""
    mining = [loss for loss in EMBEDDING_LOSSES.values() if loss.mining]
    distances = ("euclidean", "sqeuclidean", "cosine")
    for loss, dtype, distance in product(mining, DTYPES.values(), distances):
        for n, dim in SHAPES:
            x = torch.randn(n, dim, device=device, dtype=dtype).requires_grad_()
            bank = torch.randn(2 * n, dim, device=device, dtype=dtype).requires_grad_()
            labels, bank_labels = (
                torch.arange(m, device=device) % (n // 4 + 1) for m in (n, 2 * n)
            )
            margin = torch.tensor(0.5, device=device, requires_grad=True)
            name = f"{loss.name} {dtype} {distance} {n}x{dim}"
            yield name, loss.fused(x, labels, margin=margin, distance=distance)
            against = {"ref_embeddings": bank, "ref_labels": bank_labels}
            soft = loss.fused(x, labels, margin="soft", distance=distance, **against)
            yield f"{name} against a bank", soft


def large_batch_triplet_losses(device: str) -> Iterator[tuple[str, Tensor]]:
    """Among the batch and against references; an odd and an even number of row blocks."""
    loss = EMBEDDING_LOSSES["batch_hard_triplet"].fused
    for n, dim, dtype in ((4096, 200, torch.bfloat16), (4300, 40, torch.float32)):
        x = torch.randn(n, dim, device=device, dtype=dtype).requires_grad_()
        labels = torch.arange(n, device=device) % 100
        yield f"{n}x{dim} {dtype}", loss(x, labels)
        bank = {"ref_embeddings": x.detach().flip(0), "ref_labels": labels}
        yield f"{n}x{dim} {dtype} against a bank", loss(x, labels, **bank)


def triplet_losses(device: str) -> Iterator[tuple[str, Tensor]]:
    given = EMBEDDING_LOSSES["triplet"].fused
    options = [{"distance": "euclidean", "p": p} for p in (1.0, 2.0, 3.0, torch.inf)]
    options += [{"distance": distance} for distance in ("sqeuclidean", "cosine")]
    for option, dtype, shape in product(options, DTYPES.values(), SHAPES):
        rows = [torch.randn(shape, device=device, dtype=dtype).requires_grad_() for _ in range(3)]
        for swap in (False, True):
            yield f"triplet {dtype} {option} {shape} swap={swap}", given(*rows, swap=swap, **option)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seed", type=int, default=0)
    special = {"large_triplets": large_batch_triplet_losses}
    parser.add_argument("--only", choices=special)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    calls = 0
    kinds = (
        *(list_losses, ragged_losses, long_list_losses, ranking_losses),
        *(batch_triplet_losses, triplet_losses),
    )
    for losses in (special[options.only],) if options.only else kinds:
        for name, loss in losses(options.device):
            loss.backward()
            if not loss.isfinite():
                raise SystemExit(f"{name}: loss {loss.item()}")
            calls += 1
    print(f"{calls} calls, forward and backward, on {options.device}")


if __name__ == "__main__":
    main()
