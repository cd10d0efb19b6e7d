"""PKSampler: what a batch, an epoch and the ranks of a job get, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from fused_rankloss import PKSampler
from support.isolated import run_python

# Class sizes from one sample to many, in no order, under labels that are no indices.
SIZES = {7: 30, -3: 1, 100: 12, 4: 5, 0: 8, 55: 2, 9: 20, 12: 4}
LABELS = torch.cat([torch.full((size,), label) for label, size in SIZES.items()])
LABELS = LABELS[torch.randperm(len(LABELS), generator=torch.Generator().manual_seed(0))]


def classes_of(batch: list[int]) -> list[int]:
    return LABELS[torch.tensor(batch)].tolist()


# ---- Batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("p", "k"), [(1, 1), (2, 2), (3, 4), (8, 4), (5, 9)])
def test_every_batch_has_p_classes_of_k(p: int, k: int) -> None:
    sampler = PKSampler(LABELS, p, k, num_batches=20)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 20
    for batch in batches:
        assert len(batch) == p * k and all(type(index) is int for index in batch)
        counts = Counter(classes_of(batch))
        assert len(counts) == p and set(counts.values()) == {k}
        # One class after the other.
        assert [classes_of(batch)[k * place] for place in range(p)] == list(counts)


def test_samples_are_different_where_there_are_enough() -> None:
    """A smaller class gives all it has, and again some of that."""
    for batch in PKSampler(LABELS, 8, 4, num_batches=15):
        for label, size in SIZES.items():
            taken = {i for i, c in zip(batch, classes_of(batch), strict=True) if c == label}
            assert len(taken) == min(size, 4)


def test_decks_go_round() -> None:
    """12 samples, 4 at a time: all of them in 3 batches, before any comes again."""
    members = (LABELS == 100).nonzero().flatten().tolist()
    drawn = [
        [index for index in batch if index in members]
        for batch in PKSampler(LABELS, 8, 4, num_batches=12)
    ]
    for start in range(0, 12, 3):
        assert sorted(sum(drawn[start : start + 3], [])) == sorted(members)


def test_classes_go_round() -> None:
    """Eight classes, 4 at a time: every one in each two batches, however large it is."""
    batches = [set(classes_of(batch)) for batch in PKSampler(LABELS, 4, 2, num_batches=10)]
    assert all(batches[2 * r] | batches[2 * r + 1] == set(SIZES) for r in range(5))
    # 3 at a time: two rest in every round, and not always the same.
    drawn = Counter(
        label for batch in PKSampler(LABELS, 3, 2, num_batches=200) for label in classes_of(batch)
    )
    assert min(drawn.values()) > 0.6 * max(drawn.values())


def test_min_samples() -> None:
    sampler = PKSampler(LABELS, 3, 2, min_samples=5, num_batches=30)
    drawn = {label for batch in sampler for label in classes_of(batch)}
    assert drawn == {label for label, size in SIZES.items() if size >= 5}


# ---- Epochs --------------------------------------------------------------------------------------


def test_length() -> None:
    """As many batches as hold the samples of the classes that take part; at least one."""
    assert len(PKSampler(LABELS, 2, 4)) == 82 // 8
    assert len(PKSampler(LABELS, 2, 4, min_samples=2)) == 81 // 8
    assert len(PKSampler(LABELS, 2, 4, num_replicas=3, rank=1)) == 82 // 24
    assert len(PKSampler(LABELS, 8, 40)) == 1
    assert len(PKSampler(LABELS, 2, 4, num_batches=3)) == 3


def test_seed_and_epoch_say_it_all() -> None:
    def epoch(number: int, seed: int = 3) -> list[list[int]]:
        sampler = PKSampler(LABELS, 3, 4, seed=seed)
        sampler.set_epoch(number)
        torch.rand(number + 1)  # the global generator plays no part
        return list(sampler)

    assert epoch(0) == epoch(0) and epoch(5) == epoch(5)
    assert epoch(0) != epoch(1) and epoch(0) != epoch(0, seed=4)
    sampler = PKSampler(LABELS, 3, 4, seed=3)
    assert list(sampler) == list(sampler) == epoch(0)
    state = torch.random.get_rng_state()
    list(sampler)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_iterators_do_not_disturb_each_other() -> None:
    sampler = PKSampler(LABELS, 3, 4)
    together = list(zip(sampler, sampler, strict=True))
    assert all(one == other for one, other in together)


def test_generator_goes_on() -> None:
    def epochs(seed: int) -> list[list[list[int]]]:
        generator = torch.Generator().manual_seed(seed)
        sampler = PKSampler(LABELS, 3, 4, generator=generator)
        return [list(sampler), list(sampler)]

    first, second = epochs(1)
    assert first != second and [first, second] == epochs(1)


@pytest.mark.parametrize(
    "labels",
    [LABELS.tolist(), LABELS.to(torch.int8), LABELS.to(torch.int32), LABELS + 2**40],
    ids=["list", "int8", "int32", "large"],
)
def test_labels_of_any_kind(labels) -> None:
    assert list(PKSampler(labels, 3, 4)) == list(PKSampler(LABELS, 3, 4))


def test_bool_labels() -> None:
    batches = list(PKSampler(LABELS > 5, 2, 3))
    assert all((LABELS[torch.tensor(batch)] > 5).sum() == 3 for batch in batches)


# ---- Several replicas ----------------------------------------------------------------------------


@pytest.mark.parametrize("replicas", [2, 3, 4])
@pytest.mark.parametrize("p", [2, 3])
def test_ranks_get_different_batches(replicas: int, p: int) -> None:
    """As many batches each, all different; in a step no class twice, where there are enough."""
    ranks = [
        list(PKSampler(LABELS, p, 4, num_batches=6, num_replicas=replicas, rank=rank))
        for rank in range(replicas)
    ]
    assert {len(batches) for batches in ranks} == {6}
    if len(SIZES) // p >= replicas:
        for step in zip(*ranks, strict=True):
            classes = [label for batch in step for label in set(classes_of(batch))]
            samples = [index for batch in step for index in set(batch)]
            assert len(classes) == len(set(classes)) and len(samples) == len(set(samples))
    assert len({tuple(batch) for batches in ranks for batch in batches}) == 6 * replicas


def test_torch_distributed_says_the_rank() -> None:
    code = """
    import sys, tempfile
    import torch, torch.distributed as dist
    from fused_rankloss import PKSampler

    file = tempfile.NamedTemporaryFile()
    labels = torch.arange(40) // 5
    before = PKSampler(labels, 2, 2)
    dist.init_process_group("gloo", init_method=f"file://{file.name}", rank=0, world_size=1)
    dist.get_rank, dist.get_world_size = lambda: 1, lambda: 2
    after = PKSampler(labels, 2, 2)
    given = PKSampler(labels, 2, 2, num_replicas=2, rank=0)
    print([(s.num_replicas, s.rank) for s in (before, after, given)])
    dist.destroy_process_group()
    """
    assert run_python(code).strip().endswith("[(1, 0), (2, 1), (2, 0)]")


# ---- With a loader -------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 1])
def test_data_loader(workers: int) -> None:
    sampler = PKSampler(LABELS, 3, 4)
    dataset = TensorDataset(torch.arange(len(LABELS)), LABELS)
    loader = DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
    assert len(loader) == len(sampler)
    for batch, (indices, labels) in zip(sampler, loader, strict=True):
        assert indices.tolist() == batch and labels.tolist() == classes_of(batch)


# ---- Refusals ------------------------------------------------------------------------------------

REFUSALS = [
    (
        ValueError,
        "expected classes_per_batch <= 8, the number of classes, got 9",
        (LABELS, 9, 2),
        {},
    ),
    (
        ValueError,
        "expected classes_per_batch <= 5, the number of classes with at least 5 samples, got 6",
        (LABELS, 6, 2),
        {"min_samples": 5},
    ),
    (ValueError, "expected classes_per_batch >= 1, got 0", (LABELS, 0, 2), {}),
    (ValueError, "expected samples_per_class >= 1, got -1", (LABELS, 2, -1), {}),
    (TypeError, "expected samples_per_class to be an int, got float", (LABELS, 2, 2.0), {}),
    (TypeError, "expected classes_per_batch to be an int, got bool", (LABELS, True, 2), {}),
    (ValueError, "expected min_samples >= 1, got 0", (LABELS, 2, 2), {"min_samples": 0}),
    (ValueError, "expected num_batches >= 1, got 0", (LABELS, 2, 2), {"num_batches": 0}),
    (ValueError, "expected rank in [0, 2), got 2", (LABELS, 2, 2), {"num_replicas": 2, "rank": 2}),
    (ValueError, "expected rank in [0, 1), got 1", (LABELS, 2, 2), {"rank": 1}),
    (
        TypeError,
        "expected num_replicas to be an int, got str",
        (LABELS, 2, 2),
        {"num_replicas": "2"},
    ),
    (
        TypeError,
        "expected labels of a bool or integer dtype, got torch.float32",
        (LABELS.float(), 2, 2),
        {},
    ),
    (ValueError, "expected labels of shape [N] with N >= 1, got [0]", (LABELS[:0], 2, 2), {}),
    (
        ValueError,
        "expected labels of shape [N] with N >= 1, got [82, 1]",
        (LABELS[:, None], 2, 2),
        {},
    ),
]


@pytest.mark.parametrize(
    ("error", "text", "arguments", "options"), REFUSALS, ids=range(len(REFUSALS))
)
def test_refusals(error: type[Exception], text: str, arguments: tuple, options: dict) -> None:
    with pytest.raises(error) as raised:
        PKSampler(*arguments, **options)
    assert type(raised.value) is error and str(raised.value) == f"PKSampler: {text}"
