"""The implementations measured: the package, dense forms, a sampled loss and a yardstick."""

from __future__ import annotations

import functools

import fused_rankloss
from benchmarks.catalogue import baselines
from benchmarks.catalogue.cases import CatalogueCase
from benchmarks.catalogue.data import CatalogueBatch
from benchmarks.family import FUSED, Call, Provider, compiled

_LEAVES = ("queries", "items")


def _fused(batch: CatalogueBatch) -> Call:
    loss = getattr(fused_rankloss, f"{batch.case.loss}_loss")
    return Call(loss, batch.tensors, leaves=_LEAVES)


def _on_lists(batch: CatalogueBatch) -> Call:
    run = functools.partial(baselines.on_lists, batch.case.loss)
    return Call(run, batch.tensors, leaves=_LEAVES)


def _eager(batch: CatalogueBatch) -> Call:
    return Call(baselines.dense_softmax, batch.tensors, leaves=_LEAVES)


def _compile(batch: CatalogueBatch) -> Call:
    run = compiled(baselines.dense_softmax, batch.device)
    return Call(run, batch.tensors, leaves=_LEAVES)


def _sampled(batch: CatalogueBatch) -> Call:
    return Call(baselines.sampled_bpr, batch.tensors, leaves=_LEAVES)


def _products(batch: CatalogueBatch) -> Call:
    tensors = {name: batch.tensors[name] for name in _LEAVES}
    return Call(baselines.products, tensors, leaves=_LEAVES)


def _is_softmax(case: CatalogueCase, device: str) -> bool:
    return case.loss == "catalogue_softmax"


PROVIDERS = (
    Provider(FUSED, "fused_rankloss", _fused, lambda case, device: device == "cpu"),
    Provider(
        "on_lists",
        "fused_rankloss on materialised scores",
        _on_lists,
        lambda case, device: baselines.has_list_loss(case.loss),
        pairs=CatalogueBatch.num_pairs,
        pair_bytes=60,
    ),
    Provider(
        "eager",
        "PyTorch, cross entropy of materialised logits",
        _eager,
        _is_softmax,
        pairs=CatalogueBatch.num_pairs,
        pair_bytes=16,
    ),
    Provider(
        "compile",
        "torch.compile of it",
        _compile,
        _is_softmax,
        pairs=CatalogueBatch.num_pairs,
        pair_bytes=16,
        compiles=True,
    ),
    Provider(
        "sampled",
        f"PyTorch, BPR with {baselines.SAMPLED} sampled negatives",
        _sampled,
        lambda case, device: case.loss == "catalogue_logistic",
        checked=False,
    ),
    Provider(
        "products",
        "the three products alone",
        _products,
        lambda case, device: case.mode == "full",
        pairs=CatalogueBatch.num_pairs,
        pair_bytes=4,
        has_loss=False,
        checked=False,
    ),
)
