"""The checked options of the losses over lists, in the order in which the ops take them."""

from __future__ import annotations

from typing import NamedTuple


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
