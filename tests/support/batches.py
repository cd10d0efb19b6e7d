"""A ragged batch of lists, and every way to hand the same lists to a loss."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Lists end to end: list b holds the next ``sizes[b]`` items of each tensor ``[T]``."""

    scores: Tensor
    labels: Tensor
    sizes: tuple[int, ...]
    weights: Tensor | None = None
    list_weights: Tensor | None = None  # [B]

    @staticmethod
    def of(scores, labels, weights=None, dtype=torch.float64, label_dtype=None) -> Batch:
        """A batch of one list from Python numbers."""
        return Batch(
            torch.tensor(scores, dtype=dtype),
            torch.tensor(labels, dtype=label_dtype),
            (len(scores),),
            None if weights is None else torch.tensor(weights, dtype=dtype),
        )

    @staticmethod
    def join(batches: list[Batch]) -> Batch:
        weights = [batch.weights for batch in batches]
        return Batch(
            torch.cat([batch.scores for batch in batches]),
            torch.cat([batch.labels for batch in batches]),
            tuple(size for batch in batches for size in batch.sizes),
            None if weights[0] is None else torch.cat(weights),
        )

    def split(self, items: Tensor | None) -> list[Tensor | None]:
        """Cuts a tensor ``[T]`` into one tensor per list."""
        if items is None:
            return [None] * len(self.sizes)
        return list(items.split(list(self.sizes)))

    def lists(self) -> list[Batch]:
        """Each list as a batch of its own."""
        parts = zip(
            self.split(self.scores), self.split(self.labels), self.split(self.weights), strict=True
        )
        return [Batch(s, y, (len(s),), w) for s, y, w in parts]

    def to(self, target: str | torch.dtype) -> Batch:
        """On another device, or with scores of another dtype."""
        if isinstance(target, torch.dtype):
            return replace(self, scores=self.scores.to(target))
        weights = (self.weights, self.list_weights)
        moved = [None if tensor is None else tensor.to(target) for tensor in weights]
        return Batch(self.scores.to(target), self.labels.to(target), self.sizes, *moved)

    def take(self, order: Tensor) -> Batch:
        """The items in another order (which must stay within lists)."""
        weights = None if self.weights is None else self.weights[order]
        return replace(self, scores=self.scores[order], labels=self.labels[order], weights=weights)

    def offsets(self, dtype: torch.dtype = torch.int64) -> Tensor:
        bounds = [0]
        for size in self.sizes:
            bounds.append(bounds[-1] + size)
        return torch.tensor(bounds, dtype=dtype, device=self.scores.device)


class Call(NamedTuple):
    """What a loss is called with, and the slot of its input where each item of the batch went."""

    scores: Tensor
    labels: Tensor
    options: dict[str, Tensor]
    slots: Tensor

    def items(self, tensor: Tensor) -> Tensor:
        """The batch's items ``[T]`` out of a tensor shaped as the scores."""
        return (tensor.values() if tensor.is_nested else tensor.flatten())[self.slots]

    def padding(self, tensor: Tensor) -> Tensor:
        """Everything else of a dense tensor shaped as the scores."""
        inert = torch.ones(tensor.numel(), dtype=torch.bool, device=tensor.device)
        inert[self.slots] = False
        return tensor.flatten()[inert]


def _weights_of(batch: Batch, weights: Tensor | None) -> dict[str, Tensor]:
    """The options; ``weights`` are those of the batch, shaped as the scores of the call."""
    named = {"weights": weights, "list_weights": batch.list_weights}
    return {name: tensor for name, tensor in named.items() if tensor is not None}


def flat(batch: Batch, index_dtype: torch.dtype = torch.int64) -> Call:
    options = {"offsets": batch.offsets(index_dtype), **_weights_of(batch, batch.weights)}
    slots = torch.arange(len(batch.scores), device=batch.scores.device)
    return Call(batch.scores, batch.labels, options, slots)


def one_list(batch: Batch) -> Call:
    assert len(batch.sizes) == 1
    slots = torch.arange(len(batch.scores), device=batch.scores.device)
    return Call(batch.scores, batch.labels, _weights_of(batch, batch.weights), slots)


def nested(batch: Batch) -> Call:
    def jag(items: Tensor) -> Tensor:
        return torch.nested.nested_tensor_from_jagged(items, offsets)

    offsets = batch.offsets()
    options = _weights_of(batch, None if batch.weights is None else jag(batch.weights))
    slots = torch.arange(len(batch.scores), device=batch.scores.device)
    return Call(jag(batch.scores), jag(batch.labels), options, slots)


def _scatter(items: Tensor, slots: Tensor, shape: tuple[int, int], filler: float) -> Tensor:
    """Items at their slots of a padded tensor, ``filler`` (as that dtype holds it) elsewhere."""
    if not items.dtype.is_floating_point:
        filler = 1  # NaN and inf have no integer; 1 is the most relevant binary label
    padded = torch.full(shape, filler, dtype=torch.float64, device=items.device).to(items.dtype)
    if len(items) == 0:
        return padded
    # As bytes: torch cannot index every dtype of labels.
    into = padded.view(-1).view(torch.uint8).view(padded.numel(), items.element_size())
    into[slots] = items.contiguous().view(torch.uint8).view(len(items), items.element_size())
    return padded


def _padded(batch: Batch, columns: list[list[int]], width: int, filler: float) -> Call:
    shape = (len(batch.sizes), width)
    slots = [row * width + column for row, taken in enumerate(columns) for column in taken]
    slots = torch.tensor(slots, dtype=torch.int64, device=batch.scores.device)
    weights = None if batch.weights is None else _scatter(batch.weights, slots, shape, filler)
    return Call(
        _scatter(batch.scores, slots, shape, filler),
        _scatter(batch.labels, slots, shape, filler),
        _weights_of(batch, weights),
        slots,
    )


def padded_lengths(
    batch: Batch, extra: int = 3, filler: float = 0.0, index_dtype: torch.dtype = torch.int64
) -> Call:
    """``[B, N]`` with lengths, ``extra`` columns wider than the longest list."""
    width = max(batch.sizes, default=0) + extra
    call = _padded(batch, [list(range(size)) for size in batch.sizes], width, filler)
    lengths = torch.tensor(batch.sizes, dtype=index_dtype, device=batch.scores.device)
    return call._replace(options={**call.options, "lengths": lengths})


def _masked(call: Call) -> Call:
    mask = torch.zeros(call.scores.shape, dtype=torch.bool, device=call.scores.device)
    mask.view(-1)[call.slots] = True
    return call._replace(options={**call.options, "mask": mask})


def padded_mask(batch: Batch, extra: int = 3, filler: float = 0.0) -> Call:
    """``[B, N]`` with a mask, the padding behind the items."""
    call = padded_lengths(batch, extra, filler)
    del call.options["lengths"]
    return _masked(call)


def scattered_mask(batch: Batch, extra: int = 3, filler: float = 0.0) -> Call:
    """``[B, N]`` with a mask, the padding anywhere; items keep their order within a list."""
    width = max(batch.sizes, default=0) + extra
    generator = torch.Generator().manual_seed(width)
    columns = [
        torch.randperm(width, generator=generator)[:size].sort().values.tolist()
        for size in batch.sizes
    ]
    return _masked(_padded(batch, columns, width, filler))


def flat_mask(batch: Batch, extra: int = 3, filler: float = 0.0) -> Call:
    """``[T]`` with offsets and a mask: every list carries ``extra`` slots of padding."""
    sizes = [size + extra for size in batch.sizes]
    bounds = [0]
    for size in sizes:
        bounds.append(bounds[-1] + size)
    slots = [
        begin + position
        for begin, size in zip(bounds, batch.sizes, strict=False)
        for position in range(size)
    ]
    device = batch.scores.device
    slots = torch.tensor(slots, dtype=torch.int64, device=device)
    shape = (1, bounds[-1])
    items = {"scores": batch.scores, "labels": batch.labels, "weights": batch.weights}
    spread = {
        name: _scatter(tensor, slots, shape, filler).flatten()
        for name, tensor in items.items()
        if tensor is not None
    }
    scores, labels = spread.pop("scores"), spread.pop("labels")
    options = _weights_of(batch, spread.get("weights"))
    call = _masked(Call(scores, labels, options, slots))
    call.options["offsets"] = torch.tensor(bounds, device=device)
    return call


FORMS = {
    "flat": flat,
    "lengths": padded_lengths,
    "mask": padded_mask,
    "scattered_mask": scattered_mask,
    "flat_mask": flat_mask,
    "nested": nested,
}


@dataclass
class Outcome:
    """A loss and its gradient for each item of the batch."""

    loss: Tensor
    grad: Tensor
    padding_grad: Tensor = field(default_factory=lambda: torch.zeros(0))

    def same_bits(self, other: Outcome) -> bool:
        return same_bits(self.loss, other.loss) and same_bits(self.grad, other.grad)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Equal shape, dtype and value everywhere, NaN equal to NaN, 0.0 apart from -0.0."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.dtype.is_floating_point:
        return torch.equal(a, b)
    nan = a.isnan() & b.isnan()
    return bool((nan | ((a == b) & (a.signbit() == b.signbit()))).all())


def evaluate(function, call: Call, grad_output: Tensor | None = None, **options) -> Outcome:
    """Runs a loss forward and backward, with a ``grad_output`` of ones by default."""
    scores = call.scores.detach().requires_grad_()
    loss = function(scores, call.labels, **call.options, **options)
    grad_output = torch.ones_like(loss) if grad_output is None else grad_output.to(loss)
    (grad,) = torch.autograd.grad(loss, scores, grad_output)
    padding = torch.zeros(0) if grad.is_nested else call.padding(grad)
    return Outcome(loss.detach(), call.items(grad), padding)
