"""Losses over lists of scores that see each list as a whole: ListNet, ListMLE, ApproxNDCG.

The batch of lists is that of :mod:`fused_rankloss.functional.pairwise`. These losses have one
number a list and no pairs: ``reduction`` is ``"mean"`` or ``"list_mean"``, the sum / the number of
lists that count; ``"sum"``; ``"none"``, the number of each list, ``[B]``; or ``"batch_mean"``, the
sum / B. A list that does not count adds exactly 0. ``weights`` multiply the term of their item.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import reference
from fused_rankloss.autograd import Listwise
from fused_rankloss.functional._checks import (
    IMPLEMENTATIONS,
    check_by_rank,
    check_device,
    check_option,
    check_positive,
)
from fused_rankloss.functional.lambda_loss import GAINS
from fused_rankloss.functional.pairwise import REDUCTIONS
from fused_rankloss.lists import Lists, parse
from fused_rankloss.ops import loss_dtype
from fused_rankloss.options import ListwiseOptions


def listnet_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    impl: str = "auto",
) -> Tensor:
    r"""ListNet: the cross entropy from softmax(labels) to softmax(scores), in O(n) time.

    .. math:: \sum_i w_i\, p_i \Bigl(\log \sum_j e^{s_j} - s_i\Bigr), \qquad
        p = \text{softmax}(\text{labels})

    Args:
        scores: predicted scores ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested jagged
            ``[B, j]``; float16, bfloat16, float32 or float64.
        labels: relevance, shaped as ``scores``, any bool, integer or float dtype; higher is more
            relevant.
            Their values count, not only their order.
        mask: bool, shaped as ``scores``; True marks a real item. The rest is padding.
        lengths: int32 or int64 ``[B]``, the number of real items at the start of each row.
        offsets: int32 or int64 ``[B + 1]``; list b is ``scores[offsets[b]:offsets[b + 1]]``.
        weights: per item, shaped as ``scores``; each multiplies its item's term.
        list_weights: per list, ``[B]``; finite, not negative, constants of the loss. Each
            multiplies its list's loss, and what the list adds to the divisor of a mean.
        reduction: ``"mean"`` or ``"list_mean"``, the sum / the number of lists
            with an item; ``"sum"``; ``"none"``, the loss of each list,
            ``[B]``; ``"batch_mean"``, the sum / B.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]`` or ``[T]``, all the same
        - list_weights: ``[B]``; of one list ``[N]``, ``[]`` or ``[1]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``, for one list ``[N]`` still ``[]``

    Returns:
        The loss, float32 (float64 for float64 scores). Exactly 0, with gradient 0, for an empty
        list. NaN in an item's label, a largest label that is infinite, a weight that is negative or
        not finite, or a score that is not finite, makes that list's loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have; integer scores among them.
        ValueError: shapes, devices, offsets, lengths or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import listnet_loss
        >>> labels = torch.tensor([2.0, 1.0, 0.0])
        >>> listnet_loss(labels, labels)  # the smallest value: the entropy of the labels
        tensor(0.8324)
        >>> listnet_loss(labels.flip(0), labels)
        tensor(1.9828)

    Source: Cao et al., "Learning to rank: from pairwise approach to listwise approach" (2007).
    """
    name = "listnet_loss"
    lists = parse(
        name, scores, labels, weights, list_weights, mask, lengths, offsets, label_values=True
    )
    return _listwise(name, lists, None, ListwiseOptions("listnet"), reduction, impl)


def list_mle_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    position_weights: str | Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    impl: str = "auto",
) -> Tensor:
    r"""ListMLE: -log of the Plackett-Luce probability of the order by labels, in O(n log n) time.

    With :math:`\pi_t` the item at position t by descending label

    .. math:: \sum_t v_t w_{\pi_t} \Bigl(\log \sum_{u \ge t} e^{s_{\pi_u}} - s_{\pi_t}\Bigr)

    Equal labels keep their order in the list, on every device. If ties are in a meaningful order,
    shuffle them first.

    Args:
        scores: predicted scores ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested jagged
            ``[B, j]``; float16, bfloat16, float32 or float64.
        labels: relevance, shaped as ``scores``, any bool, integer or float dtype; higher is more
            relevant.
        position_weights: the weights v. None: all 1. ``"exponential"``: 2^(n - t) - 1, divided by
            their sum (position-aware ListMLE). A tensor ``[R]``: those of positions 1 to R; further
            ones are 0.
        mask: bool, shaped as ``scores``; True marks a real item. The rest is padding.
        lengths: int32 or int64 ``[B]``, the number of real items at the start of each row.
        offsets: int32 or int64 ``[B + 1]``; list b is ``scores[offsets[b]:offsets[b + 1]]``.
        weights: per item, shaped as ``scores``; each multiplies its item's term.
        list_weights: per list, ``[B]``; finite, not negative, constants of the loss. Each
            multiplies its list's loss, and what the list adds to the divisor of a mean.
        reduction: ``"mean"`` or ``"list_mean"``, the sum / the number of lists
            with two different labels; ``"sum"``; ``"none"``, the loss of each list,
            ``[B]``; ``"batch_mean"``, the sum / B.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]`` or ``[T]``, all the same
        - list_weights: ``[B]``; of one list ``[N]``, ``[]`` or ``[1]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``, for one list ``[N]`` still ``[]``

    Returns:
        The loss, float32 (float64 for float64 scores). Exactly 0, with gradient 0, for a list whose
        labels are all equal: it has no order. NaN in an item's label, a weight that is negative or
        not finite, or a score that is not finite, makes that list's loss and gradient NaN. Infinite
        labels are first or last.

    Raises:
        TypeError: a dtype or type that the argument cannot have; integer scores among them.
        ValueError: shapes, devices, offsets, lengths or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import list_mle_loss
        >>> scores, labels = torch.zeros(3), torch.tensor([2, 1, 0])
        >>> list_mle_loss(scores, labels)  # equal scores: each of the 3! orders is as likely
        tensor(1.7918)

    Source: Xia et al., "Listwise approach to learning to rank: theory and algorithm" (2008); Lan et
    al., "Position-aware ListMLE: a sequential learning process for ranking" (2014).
    """
    name = "list_mle_loss"
    lists = parse(name, scores, labels, weights, list_weights, mask, lengths, offsets)
    given, positions = None, "none"
    if isinstance(position_weights, Tensor):
        given = check_by_rank(name, "position_weights", position_weights, lists.scores)
    elif position_weights is not None:
        check_option(
            name, "position_weights", position_weights, ("exponential",), "None or a tensor"
        )
        positions = "exponential"
    options = ListwiseOptions("list_mle", positions)
    return _listwise(name, lists, given, options, reduction, impl)


def approx_ndcg_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1.0,
    gain: str = "exponential",
    gains: Tensor | None = None,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    impl: str = "auto",
) -> Tensor:
    r"""ApproxNDCG: minus NDCG, with ranks made smooth.

    .. math:: -\sum_i \frac{w_i\, g_i}{\log_2(1 + \hat r_i)}, \qquad
        \hat r_i = 1 + \sum_{j \ne i} \frac{1}{1 + \exp((s_i - s_j) / \text{temperature})}

    where :math:`g = G / \text{maxDCG}` and G is the gain of an item. It goes to -1 as the order
    becomes that of the labels and gaps grow beyond the temperature.

    Args:
        scores: predicted scores ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested jagged
            ``[B, j]``; float16, bfloat16, float32 or float64.
        labels: relevance, shaped as ``scores``, any bool, integer or float dtype; higher is more
            relevant.
            Their values count, not only their order.
        temperature: > 0, in units of the scores; the lower, the closer to NDCG and the steeper.
        gain: the gain of a label y: ``"exponential"``, 2^y - 1, or ``"linear"``, y.
        gains: the gain of each item, shaped as ``scores``, in place of ``gain``.
        mask: bool, shaped as ``scores``; True marks a real item. The rest is padding.
        lengths: int32 or int64 ``[B]``, the number of real items at the start of each row.
        offsets: int32 or int64 ``[B + 1]``; list b is ``scores[offsets[b]:offsets[b + 1]]``.
        weights: per item, shaped as ``scores``; each multiplies its item's term, not its gain in
            maxDCG.
        list_weights: per list, ``[B]``; finite, not negative, constants of the loss. Each
            multiplies its list's loss, and what the list adds to the divisor of a mean.
        reduction: ``"mean"`` or ``"list_mean"``, the sum / the number of lists
            whose maxDCG is positive; ``"sum"``; ``"none"``, the loss of each list,
            ``[B]``; ``"batch_mean"``, the sum / B.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - scores, labels, mask, weights, gains: ``[N]``, ``[B, N]`` or ``[T]``, all the same
        - list_weights: ``[B]``; of one list ``[N]``, ``[]`` or ``[1]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``, for one list ``[N]`` still ``[]``

    Returns:
        The loss, float32 (float64 for float64 scores). Exactly 0, with gradient 0, for a list whose
        maxDCG is not positive (a list of negative labels, for one). NaN in an item's label, a gain
        or score that is not finite, or a weight that is negative or not finite, makes that list's
        loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have; integer scores among them.
        ValueError: shapes, devices, offsets, lengths or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import approx_ndcg_loss
        >>> scores, labels = torch.tensor([3.0, 2.0, 1.0]), torch.tensor([2, 1, 0])
        >>> approx_ndcg_loss(scores, labels, temperature=0.1)
        tensor(-1.0000)

    Source: Qin et al., "A general approximation framework for direct optimization of information
    retrieval measures" (2010).
    """
    name = "approx_ndcg_loss"
    check_option(name, "gain", gain, GAINS)
    temperature = check_positive(name, "temperature", temperature)
    lists = parse(
        name,
        scores,
        labels,
        weights,
        list_weights,
        mask,
        lengths,
        offsets,
        gains,
        label_values=True,
    )
    options = ListwiseOptions("approx_ndcg", "none", temperature, gain)
    return _listwise(name, lists, None, options, reduction, impl)


def _listwise(
    name: str,
    lists: Lists,
    position_weights: Tensor | None,
    options: ListwiseOptions,
    reduction: str,
    impl: str,
) -> Tensor:
    check_option(name, "reduction", reduction, REDUCTIONS)
    check_option(name, "impl", impl, IMPLEMENTATIONS)
    if impl == "auto":
        check_device(name, "scores", lists.scores)
        return Listwise.apply(
            lists.scores,
            lists,
            position_weights,
            options,
            reduction,
            lists.scores.requires_grad and torch.is_grad_enabled(),
        )
    scores = lists.scores.to(loss_dtype(lists.scores))
    tensors = (scores, lists.labels, lists.weights, lists.gains)
    value = reference.listwise(
        tensors, lists.items(), lists.list_weights, position_weights, options, reduction
    )
    return value if lists.batched else value.reshape([])
