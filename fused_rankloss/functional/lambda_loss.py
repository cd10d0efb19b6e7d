"""Logistic and weighted pair losses over lists of scores as functions: RankNet, LambdaRank,
LambdaLoss.

The batch of lists is that of :mod:`fused_rankloss.functional.pairwise`.
"""

from __future__ import annotations

import math
import numbers
from typing import NamedTuple

import torch
from torch import Tensor

from fused_rankloss import reference
from fused_rankloss.autograd import Lambda
from fused_rankloss.functional._checks import (
    IMPLEMENTATIONS,
    check_by_rank,
    check_device,
    check_finite,
    check_flag,
    check_option,
    check_positive,
    without_array,
)
from fused_rankloss.functional.pairwise import REDUCTIONS, WEIGHTINGS
from fused_rankloss.lists import Lists, parse
from fused_rankloss.ops import loss_dtype
from fused_rankloss.options import LambdaOptions

SCHEMES = ("lambdarank", "ndcg_loss1", "ndcg_loss2", "ndcg_loss2++", "arp", "none")
PAIR_LOSSES = ("logistic", "hinge", "squared_hinge")
TRUNCATIONS = ("either", "both", "discount")
GAINS = ("exponential", "linear")
LOG_SCALES = {"natural": 1.0, "binary": 1 / math.log(2)}


class ListStatistics(NamedTuple):
    """Statistics of each list, ``[B]``, on the device of the scores.

    ``pair_accuracy.nanmean()`` and ``ndcg.nanmean()`` are the means over the lists that have one. A
    list whose loss is NaN has no pair here, and NaN for the other two.
    """

    num_pairs: Tensor
    """int64, the number of pairs with ``labels[i] > labels[j]``; no weights, no truncation."""
    pair_accuracy: Tensor
    """float64, the share of them with ``scores[i] > scores[j]``; equal scores count 1/2. For binary
    labels it is the area under the ROC curve. NaN without a pair."""
    ndcg: Tensor
    """float64, NDCG@k with the gain, discount and k of the loss. NaN where maxDCG@k is not
    positive, or a gain is not finite."""


def pairwise_logistic_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    sigma: float = 1.0,
    log: str = "natural",
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
    list_weights: Tensor | None = None,
    weighting: str = "product",
    reduction: str = "mean",
    return_statistics: bool = False,
    impl: str = "auto",
) -> Tensor | tuple[Tensor, ListStatistics]:
    r"""All-pairs logistic loss over lists of scores (RankNet, BPR), in O(n log n) time.

    For every pair of items i, j of one list with ``labels[i] > labels[j]``

    .. math:: \ell_{ij} = w_{ij} \log(1 + \exp(-\sigma (s_i - s_j)))

    Numerically stable for any gap: at a score difference of -1e4 the loss is 1e4 ``sigma``.

    Args:
        scores: predicted scores ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested jagged
            ``[B, j]``; float16, bfloat16, float32 or float64.
        labels: relevance, shaped as ``scores``, any bool, integer or float dtype; higher is more
            relevant.
        sigma: the slope of the loss for pairs far out of order, > 0.
        log: ``"natural"``, or ``"binary"`` for log2: the loss divided by ln 2.
        mask: bool, shaped as ``scores``; True marks a real item. The rest is padding.
        lengths: int32 or int64 ``[B]``, the number of real items at the start of each row.
        offsets: int32 or int64 ``[B + 1]``; list b is ``scores[offsets[b]:offsets[b + 1]]``.
        weights: per item, shaped as ``scores``; finite, not negative, constants of the loss.
        list_weights: per list, ``[B]``; finite, not negative, constants of the loss. Each
            multiplies its list's loss, and what the list adds to the divisor of a mean.
        weighting: the pair weight w_ij: ``"product"`` is w_i w_j, ``"preferred"`` is w_i, of the
            more relevant item.
        reduction: ``"mean"``, the sum over all pairs of the batch / their summed weight; ``"sum"``;
            ``"none"``, the sum of each list, ``[B]``; ``"list_mean"``, the mean over lists with
            pairs of each list's own mean; ``"batch_mean"``, the sum / B.
        return_statistics: also return :class:`ListStatistics` of the same pass; its NDCG has
            exponential gains and no truncation.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]`` or ``[T]``, all the same
        - list_weights: ``[B]``; of one list ``[N]``, ``[]`` or ``[1]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``, for one list ``[N]`` still ``[]``

    Returns:
        The loss, float32 (float64 for float64 scores). Exactly 0, with gradient 0, where there is
        no pair. NaN as in :func:`pairwise_hinge_loss`. With ``return_statistics`` a tuple of the
        loss and the statistics.

    Raises:
        TypeError: a dtype or type that the argument cannot have; integer scores among them.
        ValueError: shapes, devices, offsets, lengths or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import pairwise_logistic_loss
        >>> scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
        >>> labels = torch.tensor([[1, 0, 0], [1, 0, 0]])  # one positive item per list
        >>> pairwise_logistic_loss(scores, labels, reduction="none")
        tensor([0.4402, 3.4402])
        >>> loss, statistics = pairwise_logistic_loss(scores, labels, return_statistics=True)
        >>> statistics.pair_accuracy
        tensor([1., 0.], dtype=torch.float64)

    Source: Burges et al., "Learning to rank using gradient descent" (2005), RankNet; with binary
    labels Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback" (2009).
    """
    name = "pairwise_logistic_loss"
    check_option(name, "log", log, tuple(LOG_SCALES))
    check_option(name, "weighting", weighting, WEIGHTINGS)
    options = LambdaOptions(
        sigma=check_positive(name, "sigma", sigma), scale=LOG_SCALES[log], weighting=weighting
    )
    check_flag(name, "return_statistics", return_statistics)
    lists = parse(
        name,
        scores,
        labels,
        weights,
        list_weights,
        mask,
        lengths,
        offsets,
        label_values=return_statistics,
    )
    return _lambda(name, lists, None, options, reduction, return_statistics, impl)


def lambda_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    scheme: str = "lambdarank",
    pair_loss: str = "logistic",
    sigma: float = 1.0,
    margin: float = 1.0,
    mu: float = 10.0,
    log: str = "natural",
    gain: str = "exponential",
    gains: Tensor | None = None,
    discount: str | Tensor = "log2",
    k: int | None = None,
    truncation: str = "either",
    score_normalization: bool = False,
    list_normalization: bool = False,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
    list_weights: Tensor | None = None,
    weighting: str = "product",
    reduction: str = "mean",
    return_statistics: bool = False,
    impl: str = "auto",
) -> Tensor | tuple[Tensor, ListStatistics]:
    r"""Pair losses weighed by what a swap of the two items would change in a ranking metric.

    For the pairs of items i, j of one list with ``labels[i] > labels[j]``

    .. math:: \ell_{ij} = w_{ij} \lambda_{ij}\, \text{loss}(s_i - s_j)

    With :math:`r` the ranks by descending score (equal scores in their order in the list),
    :math:`d(r)` the discount of a rank, :math:`G` the gain of an item and :math:`g = G /
    \text{maxDCG@k}`, :math:`\lambda_{ij}` is

    ==================  ============================================================================
    ``"lambdarank"``    :math:`|g_i - g_j|\, |d(r_i) - d(r_j)|`, the change of NDCG
    ``"ndcg_loss1"``    :math:`g_i\, d(r_i)`, over all i and j, equal labels and i = j included
    ``"ndcg_loss2"``    :math:`|g_i - g_j|\, \delta`, with :math:`\delta = |d(t) - d(t + 1)|` and
                        :math:`t = |r_i - r_j|`
    ``"ndcg_loss2++"``  ``mu`` times ``"ndcg_loss2"``, plus ``"lambdarank"``
    ``"arp"``           ``labels[i] - labels[j]``, for the average relevance position
    ``"none"``          1
    ==================  ============================================================================

    Where maxDCG@k is not positive there is nothing to gain from any order: g is 0, and so are the
    loss and its gradient in the schemes that use g, though the list's pairs count in the means.
    Negative labels have negative gains; in a list of them alone maxDCG is never positive, and with
    ``gain="linear"`` a few of them can outweigh positive ones.

    Ranks, gains and :math:`\lambda` are constants of the loss: the gradient is that of the pair
    loss. The means divide by the number of pairs (the sum of :math:`w_{ij}`), not by
    :math:`\lambda`.

    On the CPU ``"lambdarank"``, ``"ndcg_loss1"``, ``"arp"`` and ``"none"`` take O(n log n) time, as
    long as gains rise with the labels, discounts fall with the ranks and no pair's weight is
    normalized by its scores. Everything else takes O(n^2) time, and only O(n) memory; ``k`` leaves
    O(n k) pairs. On a CUDA device the pairs of lists of up to 1,024 slots are always compared, and
    those of longer ones with the hinges and with ``"ndcg_loss1"``.

    Args:
        scores: predicted scores ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested jagged
            ``[B, j]``; float16, bfloat16, float32 or float64.
        labels: relevance, shaped as ``scores``, any bool, integer or float dtype; higher is more
            relevant.
            Their values count, not only their order.
        scheme: the weight of a pair, from the table.
        pair_loss: ``"logistic"``, log(1 + exp(-sigma D)) with D = s_i - s_j; ``"hinge"``,
            max(0, margin - D), with slope 1 on the margin; ``"squared_hinge"``, its square.
        sigma: > 0, of the logistic loss; no other has it.
        margin: in units of the scores, of the hinges.
        mu: >= 0, of ``"ndcg_loss2++"``.
        log: ``"natural"``, or ``"binary"`` for log2 in the logistic loss.
        gain: the gain of a label y: ``"exponential"``, 2^y - 1, or ``"linear"``, y.
        gains: the gain of each item, shaped as ``scores``, in place of ``gain``.
        discount: ``"log2"``, 1 / log2(1 + r), or a tensor ``[R]`` with the discounts of ranks 1 to
            R; further ones are 0.
        k: the loss looks at the first k ranks, >= 1; None for all.
        truncation: which pairs that leaves. ``"either"``: one of the two is in the first k ranks
            (LightGBM, XGBoost, sentence-transformers from 6.2 on); ``"both"``: both are (allRank);
            ``"discount"``: as ``"either"``, and discounts beyond rank k are 0 (Rax, TF-Ranking
            with ``smooth_fraction=1``).
        score_normalization: divide each pair's weight by 0.01 + \|s_i - s_j\|, in lists whose
            scores are not all equal (as LightGBM and XGBoost do unless told otherwise).
        list_normalization: multiply each list's sum by log2(1 + S) / S, where S is twice the
            summed size of its pairs' slopes (as LightGBM and XGBoost do unless told otherwise).
        mask: bool, shaped as ``scores``; True marks a real item. The rest is padding.
        lengths: int32 or int64 ``[B]``, the number of real items at the start of each row.
        offsets: int32 or int64 ``[B + 1]``; list b is ``scores[offsets[b]:offsets[b + 1]]``.
        weights: per item, shaped as ``scores``; finite, not negative, constants of the loss.
        list_weights: per list, ``[B]``; finite, not negative, constants of the loss. Each
            multiplies its list's loss, and what the list adds to the divisor of a mean.
        weighting: the pair weight w_ij: ``"product"`` is w_i w_j, ``"preferred"`` is w_i, of the
            more relevant item.
        reduction: ``"mean"``, the sum over all pairs of the batch / their summed weight; ``"sum"``;
            ``"none"``, the sum of each list, ``[B]``; ``"list_mean"``, the mean over lists with
            pairs of each list's own mean; ``"batch_mean"``, the sum / B.
        return_statistics: also return :class:`ListStatistics` of the same pass.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - scores, labels, mask, weights, gains: ``[N]``, ``[B, N]`` or ``[T]``, all the same
        - list_weights: ``[B]``; of one list ``[N]``, ``[]`` or ``[1]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``, for one list ``[N]`` still ``[]``

    Returns:
        The loss, float32 (float64 for float64 scores). Exactly 0, with gradient 0, where there is
        no pair. NaN as in :func:`pairwise_hinge_loss`; also where a gain that the scheme uses
        (a label, for ``"arp"``) is NaN or infinite. ``"none"`` compares labels alone, which may be
        infinite. With ``return_statistics`` a tuple of the loss and the statistics.

    Raises:
        TypeError: a dtype or type that the argument cannot have; integer scores among them.
        ValueError: shapes, devices, offsets, lengths or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import lambda_loss
        >>> scores = torch.tensor([0.5, 2.0, 1.0, 3.0, 0.0], requires_grad=True)
        >>> labels = torch.tensor([2, 1, 0, 0, 1])
        >>> offsets = torch.tensor([0, 3, 5])  # a list of three items and one of two
        >>> loss, statistics = lambda_loss(
        ...     scores, labels, offsets=offsets, k=10, return_statistics=True
        ... )
        >>> loss.backward()
        >>> statistics.ndcg
        tensor([0.6885, 0.6309], dtype=torch.float64)

    Source: Burges, "From RankNet to LambdaRank to LambdaMART: an overview" (2010); Wang et al.,
    "The LambdaLoss framework for ranking metric optimization" (2018).
    """
    name = "lambda_loss"
    check_option(name, "scheme", scheme, SCHEMES)
    check_option(name, "pair_loss", pair_loss, PAIR_LOSSES)
    check_option(name, "log", log, tuple(LOG_SCALES))
    check_option(name, "gain", gain, GAINS)
    check_option(name, "truncation", truncation, TRUNCATIONS)
    check_option(name, "weighting", weighting, WEIGHTINGS)
    options = LambdaOptions(
        scheme=scheme,
        pair_loss=pair_loss,
        sigma=check_positive(name, "sigma", sigma),
        margin=check_finite(name, "margin", margin),
        scale=LOG_SCALES[log] if pair_loss == "logistic" else 1.0,
        mu=_check_mu(name, mu),
        gain=gain,
        k=_check_k(name, k),
        truncation=truncation,
        score_normalization=check_flag(name, "score_normalization", score_normalization),
        list_normalization=check_flag(name, "list_normalization", list_normalization),
        weighting=weighting,
    )
    check_flag(name, "return_statistics", return_statistics)
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
    if isinstance(discount, Tensor):
        discounts = check_by_rank(name, "discount", discount, lists.scores)
    else:
        check_option(name, "discount", discount, ("log2",), "a tensor")
        discounts = None
    return _lambda(name, lists, discounts, options, reduction, return_statistics, impl)


def _check_mu(name: str, mu: object) -> float:
    number = check_finite(name, "mu", mu)
    if number < 0:
        raise ValueError(f"{name}: expected mu >= 0, got {mu}")
    return number


def _check_k(name: str, k: object) -> int:
    if k is None:
        return 0
    k = without_array(k)
    if isinstance(k, bool) or not isinstance(k, numbers.Integral):
        raise TypeError(f"{name}: expected k to be an int or None, got {type(k).__name__}")
    if k < 1:
        raise ValueError(f"{name}: expected k >= 1, got {k}")
    if k >= 2**63:
        raise ValueError(f"{name}: expected k below 2^63, got {k}")
    return int(k)


def _lambda(
    name: str,
    lists: Lists,
    discounts: Tensor | None,
    options: LambdaOptions,
    reduction: str,
    return_statistics: bool,
    impl: str,
) -> Tensor | tuple[Tensor, ListStatistics]:
    check_option(name, "reduction", reduction, REDUCTIONS)
    check_option(name, "impl", impl, IMPLEMENTATIONS)
    if impl == "auto":
        check_device(name, "scores", lists.scores)
        value, statistics = Lambda.apply(
            lists.scores,
            lists,
            discounts,
            options,
            reduction,
            lists.scores.requires_grad and torch.is_grad_enabled(),
            return_statistics,
        )
    else:
        scores = lists.scores.to(loss_dtype(lists.scores))
        tensors, items = (scores, lists.labels, lists.weights, lists.gains), lists.items()
        value = reference.lambda_loss(
            tensors, items, lists.list_weights, discounts, options, reduction
        )
        if not lists.batched:
            value = value.reshape([])
        if return_statistics:
            statistics = reference.statistics(tensors, items, discounts, options)
    if not return_statistics:
        return value
    pairs, in_order, ndcg = statistics.unbind(1)
    return value, ListStatistics(pairs.to(torch.int64), in_order / pairs, ndcg)
