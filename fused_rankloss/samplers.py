"""Batches for losses that find their pairs within a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.distributed
from torch import Tensor
from torch.utils.data import Sampler


class PKSampler(Sampler[list[int]]):
    """Draws batches of P classes with K samples each, so that every sample has a positive.

    A batch sampler in the sense of ``torch.utils.data``: it yields the indices of a whole batch.
    Pass it as ``DataLoader(dataset, batch_sampler=...)``, not as ``sampler=``.

    An epoch goes through all classes in random order, P at a time, again and again. Classes are
    drawn equally often, regardless of size. Where P does not divide the number of classes, each
    round leaves out some classes, drawn at random, so that this holds in the mean. Within a class,
    samples are dealt from a shuffled deck: none comes twice before the deck is too short for K
    more. Of a class with fewer than K samples every one is taken, and the rest is drawn from them
    with replacement.

    What an epoch holds is a function of ``(seed, epoch)`` alone. Call :meth:`set_epoch` before each
    epoch, or every epoch is the same, as with ``DistributedSampler``.

    With several replicas, each rank gets its own batches of the one sequence that all draw, and as
    many as the others. Where there are P classes for every replica, the batches that the replicas
    work on at the same time share no class, and so no sample. Trainers that shard a loader
    themselves, such as Hugging Face accelerate, need ``num_replicas=1, rank=0``; Lightning needs
    ``Trainer(use_distributed_sampler=False)``.

    Args:
        labels: the class of every sample of the dataset ``[N]``, any bool or integer dtype, or a
            sequence of integers.
        classes_per_batch: P, of different classes; a triplet needs two.
        samples_per_class: K; a positive pair needs two.
        min_samples: classes with fewer samples are left out. 2 leaves out those whose only positive
            pairs would be a sample with itself.
        num_batches: batches in an epoch of one rank; by default as many as hold the samples of
            the classes that take part, over all ranks, rounded down, at least 1.
        num_replicas: of the distributed job; by default that of ``torch.distributed`` where it is
            initialized, else 1.
        rank: of this process; by default that of ``torch.distributed``, else 0.
        seed: the same on every rank.
        generator: draws instead of ``(seed, epoch)``, and goes on from epoch to epoch; it must be
            in the same state on every rank.

    Raises:
        TypeError: labels or numbers of a type that they cannot have.
        ValueError: labels or numbers that do not fit; P above the number of classes among them.

    Example:
        >>> import torch
        >>> from fused_rankloss import PKSampler
        >>> labels = torch.arange(100) % 10
        >>> sampler = PKSampler(labels, classes_per_batch=4, samples_per_class=2)
        >>> batch = next(iter(sampler))
        >>> len(batch), len(labels[batch].unique())
        (8, 4)

    Source: Hermans, Beyer and Leibe, "In defense of the triplet loss for person
    re-identification" (2017), PK batches.
    """

    def __init__(
        self,
        labels: Tensor | Sequence[int],
        classes_per_batch: int,
        samples_per_class: int,
        *,
        min_samples: int = 1,
        num_batches: int | None = None,
        num_replicas: int | None = None,
        rank: int | None = None,
        seed: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:
        self.classes_per_batch = _check_count("classes_per_batch", classes_per_batch)
        self.samples_per_class = _check_count("samples_per_class", samples_per_class)
        self.num_replicas, self.rank = _check_replicas(num_replicas, rank)
        min_samples = _check_count("min_samples", min_samples)

        # The samples of each class, in ascending order of label and index.
        order, sizes = _group(_check_labels(labels))
        self._classes = [members for members in order.split(sizes) if len(members) >= min_samples]
        if classes_per_batch > len(self._classes):
            enough = f" with at least {min_samples} samples" if min_samples > 1 else ""
            raise ValueError(
                f"PKSampler: expected classes_per_batch <= {len(self._classes)}, the number of "
                f"classes{enough}, got {classes_per_batch}"
            )
        if num_batches is None:
            samples = sum(map(len, self._classes))
            per_step = classes_per_batch * samples_per_class * self.num_replicas
            num_batches = max(samples // per_step, 1)
        self._num_batches = _check_count("num_batches", num_batches)
        self.seed = seed
        self.epoch = 0
        self.generator = generator

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch that the next iteration draws."""
        self.epoch = epoch

    def __len__(self) -> int:
        """The number of batches of this rank."""
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        generator = self.generator
        if generator is None:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
        decks: list[list[int]] = [[] for _ in self._classes]
        drawn = 0
        while True:
            for classes in self._round(generator):
                if drawn == self._num_batches * self.num_replicas:
                    return
                # Every rank deals every batch, so that all know what is left in the decks.
                batch = [index for c in classes for index in self._deal(c, decks, generator)]
                if drawn % self.num_replicas == self.rank:
                    yield batch
                drawn += 1

    def _round(self, generator: torch.Generator) -> list[list[int]]:
        """The classes of a run of batches that have none in common: whole steps of all replicas
        where there are enough."""
        order = torch.randperm(len(self._classes), generator=generator).tolist()
        p = self.classes_per_batch
        batches = len(order) // p
        if batches > self.num_replicas:
            batches -= batches % self.num_replicas
        return [order[p * b : p * (b + 1)] for b in range(batches)]

    def _deal(self, c: int, decks: list[list[int]], generator: torch.Generator) -> list[int]:
        members, k = self._classes[c], self.samples_per_class
        if len(members) < k:
            again = torch.randint(len(members), (k - len(members),), generator=generator)
            return torch.cat([members, members[again]]).tolist()
        if len(decks[c]) < k:
            decks[c] = members[torch.randperm(len(members), generator=generator)].tolist()
        dealt, decks[c] = decks[c][:k], decks[c][k:]
        return dealt


def _check_count(what: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"PKSampler: expected {what} to be an int, got {type(value).__name__}")
    if value < 1:
        raise ValueError(f"PKSampler: expected {what} >= 1, got {value}")
    return value


def _check_labels(labels: object) -> Tensor:
    labels = labels if isinstance(labels, Tensor) else torch.tensor(labels)
    if labels.dim() != 1 or len(labels) == 0:
        raise ValueError(
            f"PKSampler: expected labels of shape [N] with N >= 1, got {list(labels.shape)}"
        )
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise TypeError(
            f"PKSampler: expected labels of a bool or integer dtype, got {labels.dtype}"
        )
    return labels.detach().cpu()


def _check_replicas(num_replicas: int | None, rank: int | None) -> tuple[int, int]:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    if num_replicas is None:
        num_replicas = torch.distributed.get_world_size() if distributed else 1
    if rank is None:
        rank = torch.distributed.get_rank() if distributed else 0
    num_replicas = _check_count("num_replicas", num_replicas)
    if isinstance(rank, bool) or not isinstance(rank, int):
        raise TypeError(f"PKSampler: expected rank to be an int, got {type(rank).__name__}")
    if not 0 <= rank < num_replicas:
        raise ValueError(f"PKSampler: expected rank in [0, {num_replicas}), got {rank}")
    return num_replicas, rank


def _group(labels: Tensor) -> tuple[Tensor, list[int]]:
    """The samples in ascending order of label, and how many each label has."""
    _, places = torch.unique(labels.to(torch.int64), return_inverse=True)
    return torch.argsort(places, stable=True), torch.bincount(places).tolist()
