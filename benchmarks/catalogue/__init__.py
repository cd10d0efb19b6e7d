"""Losses over a whole catalogue: queries x items, a few positives per query.

cases      loss x shape, and the losses
data       the tensors of a case
baselines  the dense forms, a sampled one, and the matrix products as yardstick
providers  the implementations that are measured, and the cases that each one runs
exact      loss and gradients in float64
"""

from benchmarks.catalogue.cases import CASES, SMALL_CASES, TITLES, CatalogueCase
from benchmarks.catalogue.data import make_batch
from benchmarks.catalogue.exact import disagreement, exact_loss
from benchmarks.catalogue.providers import PROVIDERS
from benchmarks.family import Family

CATALOGUE = Family(
    name="catalogue",
    titles=TITLES,
    case=CatalogueCase,
    cases=CASES,
    small_cases=SMALL_CASES,
    providers=PROVIDERS,
    make_batch=make_batch,
    exact=exact_loss,
    disagreement=disagreement,
    compares_memory=lambda case: case.loss in ("catalogue_hinge", "catalogue_softmax"),
    measurable_scores=100_000,
)
