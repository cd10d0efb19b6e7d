"""Ranking losses of queries over a whole catalogue of items: no sampling, no ``[B, M]`` matrix.

Scores are ``queries @ items.T + item_bias``. Each query has a set of positive items; every other
item of the catalogue is a negative, but for those that ``exclude`` or ids take out.
"""

from __future__ import annotations

import operator

import torch
from torch import Tensor

from fused_rankloss import reference
from fused_rankloss.autograd import Catalogue
from fused_rankloss.functional._checks import (
    IMPLEMENTATIONS,
    check_alike,
    check_boundary_grad,
    check_dense,
    check_finite,
    check_floats,
    check_margin_tensor,
    check_option,
    check_positive,
    refuse_transforms,
)
from fused_rankloss.item_sets import ItemSets, parse_sets, positive_and_excluded
from fused_rankloss.lists import check_constant, check_same_device
from fused_rankloss.ops import loss_dtype
from fused_rankloss.options import CatalogueOptions

REDUCTIONS = ("mean", "sum", "none", "list_mean", "batch_mean")
DENOMINATORS = ("catalogue", "negatives")
RANK_WEIGHTS = ("harmonic", "uniform")
WORKSPACE = 128 * 2**20


def catalogue_hinge_loss(
    queries: Tensor,
    items: Tensor,
    positives: Tensor,
    *,
    margin: float | Tensor = 1.0,
    offsets: Tensor | None = None,
    exclude: Tensor | None = None,
    exclude_offsets: Tensor | None = None,
    query_ids: Tensor | None = None,
    item_ids: Tensor | None = None,
    item_bias: Tensor | None = None,
    negatives: str | int = "all",
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    boundary_grad: float = 1.0,
    workspace: int = WORKSPACE,
    impl: str = "auto",
) -> Tensor:
    r"""All-pairs hinge loss of each query's positives against the whole catalogue.

    With scores ``s = queries @ items.T + item_bias``,
    for every positive i and negative j of a query

    .. math:: \ell_{ij} = \max(0,\; \text{margin} - (s_i - s_j))

    Args:
        queries: ``[B, D]``, float16, bfloat16, float32 or float64.
        items: the catalogue ``[M, D]``, of the queries' dtype; for in-batch negatives the other
            tower's outputs, with ``positives=torch.arange(B)``.
        positives: item numbers, int32 or int64: ``[B]``, ``[B, P]`` padded with -1, flat ``[P]``
            with ``offsets``, or a sparse CSR tensor ``[B, M]``, whose entries count whatever their
            values. Duplicates count once; a query without any has no term.
        margin: in units of the scores; a float, or a tensor ``[]``, which gets its gradient.
        offsets: int32 or int64 ``[B + 1]`` of flat positives.
        exclude: in the same forms, items that are no negatives; a positive among them stays one.
        exclude_offsets: int32 or int64 ``[B + 1]`` of flat ``exclude``.
        query_ids: integers ``[B]``: positives of queries of the same id are no negatives.
        item_ids: integers ``[M]``: items of the id of a positive are no negatives.
        item_bias: ``[M]``, added to the scores; for the log-q correction, -log q.
        negatives: ``"all"``, or the number of hardest negatives of each query that count.
        list_weights: per query, ``[B]``; finite, not negative, constants of the loss. A weight of
            0 leaves the query out, unless its scores have NaN.
        reduction: ``"mean"`` over the pairs of the batch; ``"list_mean"``, over queries of
            their means; ``"sum"``; ``"none"``, each query's sum ``[B]``; ``"batch_mean"``, the
            sum / B;
            means are weighted by ``list_weights``.
        boundary_grad: the slope where ``s_i - s_j == margin`` exactly, in [0, 1]: 1 as ``clamp``
            has it, 0 as ``relu``.
        workspace: bytes of scores that are held at a time, at least those of one query.
        impl: ``"auto"``, or ``"reference"`` for the specification in plain PyTorch, which holds all
            scores.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``

    Returns:
        The loss, float32 (float64 for float64 queries). A query with NaN among the scores of its
        positives and negatives has loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have.
        ValueError: shapes, devices, item numbers, offsets or option values that do not fit.
        NotImplementedError: CUDA tensors, for which there is ``impl="reference"``.

    Example:
        >>> import torch
        >>> from fused_rankloss import catalogue_hinge_loss
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss = catalogue_hinge_loss(queries, items, torch.tensor([3, 14, 15, 92]))
        >>> loss.backward()

    Source: Joachims, "A support vector method for multivariate performance measures" (2005).
    """
    name = "catalogue_hinge_loss"
    slope = check_boundary_grad(name, boundary_grad)
    options = CatalogueOptions("hinge", boundary_grad=slope)
    parameter, rank_sums = ("margin", margin), None
    sets = (positives, offsets, exclude, exclude_offsets, query_ids, item_ids, list_weights)
    return _catalogue(
        *(options, queries, items, item_bias, sets, parameter, rank_sums),
        *(negatives, reduction, workspace, impl),
    )


def catalogue_squared_hinge_loss(
    queries: Tensor,
    items: Tensor,
    positives: Tensor,
    *,
    margin: float | Tensor = 1.0,
    offsets: Tensor | None = None,
    exclude: Tensor | None = None,
    exclude_offsets: Tensor | None = None,
    query_ids: Tensor | None = None,
    item_ids: Tensor | None = None,
    item_bias: Tensor | None = None,
    negatives: str | int = "all",
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    workspace: int = WORKSPACE,
    impl: str = "auto",
) -> Tensor:
    r"""All-pairs squared hinge loss of each query's positives against the whole catalogue.

    With scores ``s = queries @ items.T + item_bias``,
    for every positive i and negative j of a query

    .. math:: \ell_{ij} = \max(0,\; \text{margin} - (s_i - s_j))^2

    Args:
        queries: ``[B, D]``, float16, bfloat16, float32 or float64.
        items: the catalogue ``[M, D]``, of the queries' dtype; for in-batch negatives the other
            tower's outputs, with ``positives=torch.arange(B)``.
        positives: item numbers, int32 or int64: ``[B]``, ``[B, P]`` padded with -1, flat ``[P]``
            with ``offsets``, or a sparse CSR tensor ``[B, M]``, whose entries count whatever their
            values. Duplicates count once; a query without any has no term.
        margin: in units of the scores; a float, or a tensor ``[]``, which gets its gradient.
        offsets: int32 or int64 ``[B + 1]`` of flat positives.
        exclude: in the same forms, items that are no negatives; a positive among them stays one.
        exclude_offsets: int32 or int64 ``[B + 1]`` of flat ``exclude``.
        query_ids: integers ``[B]``: positives of queries of the same id are no negatives.
        item_ids: integers ``[M]``: items of the id of a positive are no negatives.
        item_bias: ``[M]``, added to the scores; for the log-q correction, -log q.
        negatives: ``"all"``, or the number of hardest negatives of each query that count.
        list_weights: per query, ``[B]``; finite, not negative, constants of the loss. A weight of
            0 leaves the query out, unless its scores have NaN.
        reduction: ``"mean"`` over the pairs of the batch; ``"list_mean"``, over queries of
            their means; ``"sum"``; ``"none"``, each query's sum ``[B]``; ``"batch_mean"``, the
            sum / B;
            means are weighted by ``list_weights``.
        workspace: bytes of scores that are held at a time, at least those of one query.
        impl: ``"auto"``, or ``"reference"`` for the specification in plain PyTorch, which holds all
            scores.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``

    Returns:
        The loss, float32 (float64 for float64 queries). A query with NaN among the scores of its
        positives and negatives has loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have.
        ValueError: shapes, devices, item numbers, offsets or option values that do not fit.
        NotImplementedError: CUDA tensors, for which there is ``impl="reference"``.

    Example:
        >>> import torch
        >>> from fused_rankloss import catalogue_squared_hinge_loss
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss = catalogue_squared_hinge_loss(queries, items, torch.tensor([3, 14, 15, 92]))
        >>> loss.backward()

    Source: Rust and Hocking, "A log-linear gradient descent algorithm for unbalanced binary
    classification using the all pairs squared hinge loss" (2023).
    """
    options = CatalogueOptions("squared_hinge")
    parameter, rank_sums = ("margin", margin), None
    sets = (positives, offsets, exclude, exclude_offsets, query_ids, item_ids, list_weights)
    return _catalogue(
        *(options, queries, items, item_bias, sets, parameter, rank_sums),
        *(negatives, reduction, workspace, impl),
    )


def catalogue_logistic_loss(
    queries: Tensor,
    items: Tensor,
    positives: Tensor,
    *,
    sigma: float = 1.0,
    offsets: Tensor | None = None,
    exclude: Tensor | None = None,
    exclude_offsets: Tensor | None = None,
    query_ids: Tensor | None = None,
    item_ids: Tensor | None = None,
    item_bias: Tensor | None = None,
    negatives: str | int = "all",
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    workspace: int = WORKSPACE,
    impl: str = "auto",
) -> Tensor:
    r"""BPR without sampling: each positive against every negative of the catalogue.

    With scores ``s = queries @ items.T + item_bias``,
    for every positive i and negative j of a query

    .. math:: \ell_{ij} = \log(1 + \exp(-\sigma (s_i - s_j)))

    Args:
        queries: ``[B, D]``, float16, bfloat16, float32 or float64.
        items: the catalogue ``[M, D]``, of the queries' dtype; for in-batch negatives the other
            tower's outputs, with ``positives=torch.arange(B)``.
        positives: item numbers, int32 or int64: ``[B]``, ``[B, P]`` padded with -1, flat ``[P]``
            with ``offsets``, or a sparse CSR tensor ``[B, M]``, whose entries count whatever their
            values. Duplicates count once; a query without any has no term.
        sigma: the slope of the loss for pairs far out of order, > 0.
        offsets: int32 or int64 ``[B + 1]`` of flat positives.
        exclude: in the same forms, items that are no negatives; a positive among them stays one.
        exclude_offsets: int32 or int64 ``[B + 1]`` of flat ``exclude``.
        query_ids: integers ``[B]``: positives of queries of the same id are no negatives.
        item_ids: integers ``[M]``: items of the id of a positive are no negatives.
        item_bias: ``[M]``, added to the scores; for the log-q correction, -log q.
        negatives: ``"all"``, or the number of hardest negatives of each query that count.
        list_weights: per query, ``[B]``; finite, not negative, constants of the loss. A weight of
            0 leaves the query out, unless its scores have NaN.
        reduction: ``"mean"`` over the pairs of the batch; ``"list_mean"``, over queries of
            their means; ``"sum"``; ``"none"``, each query's sum ``[B]``; ``"batch_mean"``, the
            sum / B;
            means are weighted by ``list_weights``.
        workspace: bytes of scores that are held at a time, at least those of one query.
        impl: ``"auto"``, or ``"reference"`` for the specification in plain PyTorch, which holds all
            scores.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``

    Returns:
        The loss, float32 (float64 for float64 queries). A query with NaN among the scores of its
        positives and negatives has loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have.
        ValueError: shapes, devices, item numbers, offsets or option values that do not fit.
        NotImplementedError: CUDA tensors, for which there is ``impl="reference"``.

    Example:
        >>> import torch
        >>> from fused_rankloss import catalogue_logistic_loss
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss = catalogue_logistic_loss(queries, items, torch.tensor([3, 14, 15, 92]))
        >>> loss.backward()

    Source: Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback" (2009).
    """
    sigma = check_positive("catalogue_logistic_loss", "sigma", sigma)
    options = CatalogueOptions("logistic", sigma=sigma)
    parameter, rank_sums = None, None
    sets = (positives, offsets, exclude, exclude_offsets, query_ids, item_ids, list_weights)
    return _catalogue(
        *(options, queries, items, item_bias, sets, parameter, rank_sums),
        *(negatives, reduction, workspace, impl),
    )


def catalogue_warp_loss(
    queries: Tensor,
    items: Tensor,
    positives: Tensor,
    *,
    margin: float | Tensor = 1.0,
    rank_weights: str | Tensor = "harmonic",
    offsets: Tensor | None = None,
    exclude: Tensor | None = None,
    exclude_offsets: Tensor | None = None,
    query_ids: Tensor | None = None,
    item_ids: Tensor | None = None,
    item_bias: Tensor | None = None,
    negatives: str | int = "all",
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    boundary_grad: float = 1.0,
    workspace: int = WORKSPACE,
    impl: str = "auto",
) -> Tensor:
    r"""WARP with exact ranks: violated pairs weigh by the rank of their positive.

    With scores ``s = queries @ items.T + item_bias``,
    for every positive i of a query, violated by r_i negatives

    .. math:: \ell_i = \frac{\Phi(r_i)}{r_i}
        \sum_{j \text{ violates } i} \text{margin} - (s_i - s_j), \qquad
        \Phi(r) = \sum_{t \le r} \alpha_t

    Args:
        queries: ``[B, D]``, float16, bfloat16, float32 or float64.
        items: the catalogue ``[M, D]``, of the queries' dtype; for in-batch negatives the other
            tower's outputs, with ``positives=torch.arange(B)``.
        positives: item numbers, int32 or int64: ``[B]``, ``[B, P]`` padded with -1, flat ``[P]``
            with ``offsets``, or a sparse CSR tensor ``[B, M]``, whose entries count whatever their
            values. Duplicates count once; a query without any has no term.
        margin: in units of the scores; a float, or a tensor ``[]``, which gets its gradient.
        rank_weights: alpha_t, constants: ``"harmonic"``, 1 / t; ``"uniform"``, 1, which is the
            hinge; or a tensor ``[R]``, finite and not negative (else NaN), beyond which they are 0.
        offsets: int32 or int64 ``[B + 1]`` of flat positives.
        exclude: in the same forms, items that are no negatives; a positive among them stays one.
        exclude_offsets: int32 or int64 ``[B + 1]`` of flat ``exclude``.
        query_ids: integers ``[B]``: positives of queries of the same id are no negatives.
        item_ids: integers ``[M]``: items of the id of a positive are no negatives.
        item_bias: ``[M]``, added to the scores; for the log-q correction, -log q.
        negatives: ``"all"``, or the number of hardest negatives of each query that count.
        list_weights: per query, ``[B]``; finite, not negative, constants of the loss. A weight of
            0 leaves the query out, unless its scores have NaN.
        reduction: ``"mean"`` over the positives of the batch; ``"list_mean"``, over queries of
            their means; ``"sum"``; ``"none"``, each query's sum ``[B]``; ``"batch_mean"``, the
            sum / B;
            means are weighted by ``list_weights``.
        boundary_grad: 1, or 0 if a negative at exactly ``s_i - s_j == margin`` shall not count.
        workspace: bytes of scores that are held at a time, at least those of one query.
        impl: ``"auto"``, or ``"reference"`` for the specification in plain PyTorch, which holds all
            scores.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``

    Returns:
        The loss, float32 (float64 for float64 queries). A query with NaN among the scores of its
        positives and negatives has loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have.
        ValueError: shapes, devices, item numbers, offsets or option values that do not fit.
        NotImplementedError: CUDA tensors, for which there is ``impl="reference"``.

    Example:
        >>> import torch
        >>> from fused_rankloss import catalogue_warp_loss
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss = catalogue_warp_loss(queries, items, torch.tensor([3, 14, 15, 92]))
        >>> loss.backward()

    Source: Weston, Bengio and Usunier, "WSABIE: scaling up to large vocabulary image annotation"
    (2011), which estimates the ranks by sampling.
    """
    name = "catalogue_warp_loss"
    slope = check_boundary_grad(name, boundary_grad)
    if slope not in (0.0, 1.0):
        raise ValueError(f"{name}: expected boundary_grad to be 0 or 1, got {boundary_grad}")
    options = CatalogueOptions("warp", boundary_grad=slope)
    parameter, rank_sums = ("margin", margin), (rank_weights,)
    sets = (positives, offsets, exclude, exclude_offsets, query_ids, item_ids, list_weights)
    return _catalogue(
        *(options, queries, items, item_bias, sets, parameter, rank_sums),
        *(negatives, reduction, workspace, impl),
    )


def catalogue_softmax_loss(
    queries: Tensor,
    items: Tensor,
    positives: Tensor,
    *,
    temperature: float | Tensor = 1.0,
    denominator: str = "catalogue",
    offsets: Tensor | None = None,
    exclude: Tensor | None = None,
    exclude_offsets: Tensor | None = None,
    query_ids: Tensor | None = None,
    item_ids: Tensor | None = None,
    item_bias: Tensor | None = None,
    negatives: str | int = "all",
    list_weights: Tensor | None = None,
    reduction: str = "mean",
    workspace: int = WORKSPACE,
    impl: str = "auto",
) -> Tensor:
    r"""Cross entropy over the whole catalogue, with any number of positives a query.

    With scores ``s = queries @ items.T + item_bias``,
    for every positive i of a query

    .. math:: \ell_i = \log \sum_{j \in D_i} \exp(s_j / T) - s_i / T

    Args:
        queries: ``[B, D]``, float16, bfloat16, float32 or float64.
        items: the catalogue ``[M, D]``, of the queries' dtype; for in-batch negatives the other
            tower's outputs, with ``positives=torch.arange(B)``.
        positives: item numbers, int32 or int64: ``[B]``, ``[B, P]`` padded with -1, flat ``[P]``
            with ``offsets``, or a sparse CSR tensor ``[B, M]``, whose entries count whatever their
            values. Duplicates count once; a query without any has no term.
        temperature: T > 0, a float, or a tensor ``[]``, which gets its gradient.
        denominator: D_i: ``"catalogue"``, all items that are not excluded, with one positive as
            ``F.cross_entropy`` has it; ``"negatives"``, the negatives and i itself.
        offsets: int32 or int64 ``[B + 1]`` of flat positives.
        exclude: in the same forms, items that are no negatives; a positive among them stays one.
        exclude_offsets: int32 or int64 ``[B + 1]`` of flat ``exclude``.
        query_ids: integers ``[B]``: positives of queries of the same id are no negatives.
        item_ids: integers ``[M]``: items of the id of a positive are no negatives.
        item_bias: ``[M]``, added to the scores; for the log-q correction, -log q.
        negatives: ``"all"``, or the number of hardest negatives of each query that count.
        list_weights: per query, ``[B]``; finite, not negative, constants of the loss. A weight of
            0 leaves the query out, unless its scores have NaN.
        reduction: ``"mean"`` over the positives of the batch; ``"list_mean"``, over queries of
            their means; ``"sum"``; ``"none"``, each query's sum ``[B]``; ``"batch_mean"``, the
            sum / B;
            means are weighted by ``list_weights``.
        workspace: bytes of scores that are held at a time, at least those of one query.
        impl: ``"auto"``, or ``"reference"`` for the specification in plain PyTorch, which holds all
            scores.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``

    Returns:
        The loss, float32 (float64 for float64 queries). A query with NaN among the scores of its
        positives and negatives has loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have.
        ValueError: shapes, devices, item numbers, offsets or option values that do not fit.
        NotImplementedError: CUDA tensors, for which there is ``impl="reference"``.

    Example:
        >>> import torch
        >>> from fused_rankloss import catalogue_softmax_loss
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss = catalogue_softmax_loss(queries, items, torch.tensor([3, 14, 15, 92]))
        >>> loss.backward()

    Source: Liang et al., "Variational autoencoders for collaborative filtering" (2018); Khosla
    et al., "Supervised contrastive learning" (2020).
    """
    check_option("catalogue_softmax_loss", "denominator", denominator, DENOMINATORS)
    options = CatalogueOptions("softmax", denominator=denominator)
    parameter, rank_sums = ("temperature", temperature), None
    sets = (positives, offsets, exclude, exclude_offsets, query_ids, item_ids, list_weights)
    return _catalogue(
        *(options, queries, items, item_bias, sets, parameter, rank_sums),
        *(negatives, reduction, workspace, impl),
    )


# ---- Checks --------------------------------------------------------------------------------------


def _check_rows(
    name: str, queries: object, items: object, item_bias: object
) -> tuple[Tensor, Tensor, Tensor | None]:
    queries, items = check_floats(name, "queries", queries), check_floats(name, "items", items)
    if queries.dim() != 2:
        raise ValueError(f"{name}: expected queries of shape [B, D], got {list(queries.shape)}")
    queries, items = _as_products_are(queries, items)
    check_alike(name, "items", items, "queries", queries)
    if items.dim() != 2 or items.shape[1] != queries.shape[1]:
        raise ValueError(
            f"{name}: expected items of shape [M, {queries.shape[1]}] (D as queries), "
            f"got {list(items.shape)}"
        )
    if item_bias is not None:
        item_bias = check_floats(name, "item_bias", item_bias)
        check_same_device(name, "item_bias", item_bias, "queries", queries)
        if item_bias.shape != items.shape[:1]:
            raise ValueError(
                f"{name}: expected item_bias of shape [{items.shape[0]}] (one for each item), "
                f"got {list(item_bias.shape)}"
            )
    return queries, items, item_bias


def _check_ids(name: str, what: str, ids: object, of: str, rows: Tensor) -> Tensor | None:
    if ids is None:
        return None
    ids = check_dense(name, what, ids)
    if ids.dtype.is_floating_point or ids.dtype.is_complex:
        raise TypeError(f"{name}: expected {what} of a bool or integer dtype, got {ids.dtype}")
    if ids.shape != rows.shape[:1]:
        raise ValueError(
            f"{name}: expected {what} of shape [{rows.shape[0]}] (one for each row of {of}), "
            f"got {list(ids.shape)}"
        )
    check_same_device(name, what, ids, of, rows)
    return ids


def _check_list_weights(name: str, weights: object, queries: Tensor) -> Tensor | None:
    if weights is None:
        return None
    weights = check_constant(name, "list_weights", check_dense(name, "list_weights", weights))
    if weights.shape != queries.shape[:1]:
        raise ValueError(
            f"{name}: expected list_weights of shape [{queries.shape[0]}] (one for each query), "
            f"got {list(weights.shape)}"
        )
    check_same_device(name, "list_weights", weights, "queries", queries)
    return weights


def _check_sets(
    name: str, sets: tuple[object, ...], queries: Tensor, items: Tensor
) -> tuple[Tensor | None, ...]:
    positives, offsets, exclude, exclude_offsets, query_ids, item_ids, list_weights = sets
    own = parse_sets(name, "positives", positives, offsets, queries, items.shape[0])
    other: tuple[Tensor | None, Tensor | None] = (None, None)
    if exclude is not None:
        other = parse_sets(name, "exclude", exclude, exclude_offsets, queries, items.shape[0])
    elif exclude_offsets is not None:
        raise ValueError(f"{name}: expected exclude with exclude_offsets, got none")
    return (
        *(*own, *other),
        _check_ids(name, "query_ids", query_ids, "queries", queries),
        _check_ids(name, "item_ids", item_ids, "items", items),
        _check_list_weights(name, list_weights, queries),
    )


def _check_parameter(
    name: str, what: str, value: object, queries: Tensor
) -> tuple[float, Tensor | None]:
    """``(value, None)``, or ``(1.0, tensor)``: the tensor overrides the float."""
    if isinstance(value, Tensor):
        if value.dim() != 0:
            raise ValueError(
                f"{name}: expected {what} to be a float or a tensor of shape [], "
                f"got shape {list(value.shape)}"
            )
        check_margin_tensor(name, value, "queries", queries, what)
        return 1.0, value
    if what == "margin":
        return check_finite(name, what, value, "a float or a tensor"), None
    return check_positive(name, what, value), None


def _check_negatives(name: str, negatives: object) -> int:
    """0 for all of them."""
    if isinstance(negatives, str) and negatives == "all":
        return 0
    number = _integer(name, "negatives", negatives, "'all' or an int")
    if number < 1:
        raise ValueError(f"{name}: expected negatives >= 1, got {number}")
    return number


def _integer(name: str, what: str, value: object, kinds: str) -> int:
    """Of numpy, too. What no int64 can hold is as good as the largest of them."""
    try:
        number = None if isinstance(value, (bool, Tensor)) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name}: expected {what} to be {kinds}, got {value!r}")
    return min(number, 2**63 - 1)


def _rank_sums(name: str, weights: object, items: Tensor) -> Tensor | None:
    """Phi(0) .. Phi(R), float64; None where Phi(r) = r."""
    if isinstance(weights, Tensor):
        check_constant(name, "rank_weights", check_dense(name, "rank_weights", weights))
        if weights.dim() != 1:
            raise ValueError(
                f"{name}: expected rank_weights of shape [R], got {list(weights.shape)}"
            )
        check_same_device(name, "rank_weights", weights, "queries", items)
        weights = weights.to(torch.float64)
        weights = weights.where(weights.isfinite() & (weights >= 0), torch.nan)
    else:
        check_option(name, "rank_weights", weights, RANK_WEIGHTS, "a tensor")
        if weights == "uniform":
            return None
        ranks = torch.arange(1, items.shape[0] + 1, dtype=torch.float64, device=items.device)
        weights = 1 / ranks
    return torch.cat([weights.new_zeros(1), weights.cumsum(0)])


# ---- Choice of implementation --------------------------------------------------------------------


def _as_products_are(queries: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
    """Under autocast, of the dtype in which ``torch.mm`` would multiply them."""
    kind = queries.device.type
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return queries, items
    if torch.float64 in (queries.dtype, items.dtype):
        return queries, items
    dtype = torch.get_autocast_dtype(kind)
    return queries.to(dtype), items.to(dtype)


def _catalogue(
    options: CatalogueOptions,
    queries: Tensor,
    items: Tensor,
    item_bias: Tensor | None,
    sets: tuple[object, ...],
    parameter: tuple[str, float | Tensor] | None,
    rank_weights: tuple[str | Tensor] | None,
    negatives: str | int,
    reduction: str,
    workspace: int,
    impl: str,
) -> Tensor:
    """``parameter``: the name of what a tensor can be, and its value."""
    name = f"catalogue_{options.loss}_loss"
    check_option(name, "reduction", reduction, REDUCTIONS)
    check_option(name, "impl", impl, IMPLEMENTATIONS)
    if impl != "reference":
        refuse_transforms(name)
    workspace = _integer(name, "workspace", workspace, "an int")
    options = options._replace(negatives=_check_negatives(name, negatives))
    queries, items, item_bias = _check_rows(name, queries, items, item_bias)
    checked = _check_sets(name, sets, queries, items)
    tensor = None
    if parameter is not None:
        value, tensor = _check_parameter(name, *parameter, queries)
        options = options._replace(**{parameter[0]: value})
    rank_sums = None if rank_weights is None else _rank_sums(name, *rank_weights, items)
    if impl == "reference":
        if tensor is not None:
            options = options._replace(**{parameter[0]: tensor.to(loss_dtype(queries))})
        return _reference(name, queries, items, item_bias, checked, rank_sums, options, reduction)
    if queries.device.type not in ("cpu", "meta"):
        raise NotImplementedError(
            f"{name}: expected queries on the cpu, got {queries.device}; "
            f"impl='reference' runs on every device"
        )
    needs_grad = torch.is_grad_enabled() and any(
        x is not None and x.requires_grad for x in (queries, items, item_bias)
    )
    return Catalogue.apply(
        *(queries, items, item_bias, tensor, checked, rank_sums),
        *(options, reduction, workspace, needs_grad),
    )


def _reference(
    name: str,
    queries: Tensor,
    items: Tensor,
    item_bias: Tensor | None,
    checked: tuple[Tensor | None, ...],
    rank_sums: Tensor | None,
    options: CatalogueOptions,
    reduction: str,
) -> Tensor:
    own, own_offsets, other, other_offsets, query_ids, item_ids, list_weights = checked
    dtype, shape = loss_dtype(queries), (queries.shape[0], items.shape[0])
    exclude = None if other is None else ItemSets(other, other_offsets)
    keys = positive_and_excluded(
        name, ItemSets(own, own_offsets), exclude, query_ids, item_ids, *shape
    )
    positive, excluded = (
        torch.zeros(shape, dtype=torch.bool, device=queries.device)
        .view(-1)
        .index_fill(0, key, True)
        for key in keys
    )
    with torch.autocast(queries.device.type, enabled=False):
        scores = queries.to(dtype) @ items.to(dtype).T
    if item_bias is not None:
        scores = scores + item_bias.to(dtype)
    return reference.catalogue(
        *(scores, positive.view(shape), excluded.view(shape), list_weights, rank_sums),
        *(options, reduction),
    )
