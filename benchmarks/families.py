"""The families of losses, one row each, and the questions that concern all of them."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.catalogue import CATALOGUE
from benchmarks.family import PRESETS, Case, Family
from benchmarks.pairwise import PAIRWISE
from benchmarks.ranking import RANKING
from benchmarks.triplet import TRIPLET

FAMILIES = (PAIRWISE, RANKING, TRIPLET, CATALOGUE)


def family_of(loss: str) -> Family:
    return next(family for family in FAMILIES if loss in family.titles)


def families_of(cases: Iterable[Case]) -> list[Family]:
    losses = {case.loss for case in cases}
    return [family for family in FAMILIES if not losses.isdisjoint(family.titles)]


def provider_names() -> list[str]:
    return list(dict.fromkeys(p.name for family in FAMILIES for p in family.providers))


def select(
    preset: str,
    device: str = "cpu",
    only: Iterable[str] = (),
    mode: str | None = None,
    family_name: str | None = None,
) -> list[Case]:
    """The cases of a preset, or of one family in it, whose key holds every word of ``only``."""
    wanted = PRESETS.index(preset)
    return [
        case
        for family in FAMILIES
        for case in family.cases
        if PRESETS.index(case.preset) <= wanted
        and (device == "cuda" or not case.cuda_only)
        and all(word in case.key for word in only)
        and mode in (None, case.mode)
        and family_name in (None, family.name)
    ]
