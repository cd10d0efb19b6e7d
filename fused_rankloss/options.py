"""The checked options of each family, in the order in which its ops take them."""

from __future__ import annotations

from typing import NamedTuple


class PairwiseOptions(NamedTuple):
    """``margin`` counts where there is no tensor of margins."""

    margin: float
    loss: str
    weighting: str
    boundary_grad: float


class LambdaOptions(NamedTuple):
    """How pairs are weighed and what each costs; ``k`` = 0 stands for no truncation."""

    scheme: str = "none"
    pair_loss: str = "logistic"
    sigma: float = 1.0
    margin: float = 1.0
    scale: float = 1.0
    mu: float = 10.0
    gain: str = "exponential"
    k: int = 0
    truncation: str = "either"
    score_normalization: bool = False
    list_normalization: bool = False
    weighting: str = "product"


class ListwiseOptions(NamedTuple):
    loss: str
    positions: str = "none"
    temperature: float = 1.0
    gain: str = "exponential"


class TripletOptions(NamedTuple):
    """``margin`` counts where there is no margin tensor and the loss is not ``soft``."""

    margin: float
    soft: bool
    distance: str
    p: float
    eps: float
    swap: bool
    boundary_grad: float


class BatchOptions(NamedTuple):
    margin: float
    soft: bool
    mining: str
    distance: str
    boundary_grad: float


class CatalogueOptions(NamedTuple):
    """``margin`` or ``temperature`` count where there is no tensor; ``negatives`` = 0 is all."""

    loss: str
    margin: float = 1.0
    sigma: float = 1.0
    temperature: float = 1.0
    boundary_grad: float = 1.0
    denominator: str = "catalogue"
    negatives: int = 0
