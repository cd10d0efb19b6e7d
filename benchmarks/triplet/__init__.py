"""Triplet losses over embeddings.

losses     the losses, one row each
cases      shape x labels x data type x mode
data       the tensors of a case
baselines  common PyTorch code, and a matrix product as yardstick
libraries  the same losses of other packages, imported
providers  the implementations that are measured, and the cases that each one runs
exact      picks, loss and gradient in float64
"""

from benchmarks.family import Family
from benchmarks.triplet.cases import CASES, DRAWN_DATA, SMALL_CASES, EmbeddingCase
from benchmarks.triplet.data import make_batch
from benchmarks.triplet.exact import disagreement, exact_loss
from benchmarks.triplet.losses import LOSSES
from benchmarks.triplet.providers import PROVIDERS

TRIPLET = Family(
    name="triplet",
    titles={loss.name: loss.title for loss in LOSSES.values()},
    case=EmbeddingCase,
    cases=CASES,
    small_cases=SMALL_CASES,
    providers=PROVIDERS,
    make_batch=make_batch,
    exact=exact_loss,
    disagreement=disagreement,
    compares_memory=lambda case: case.data == DRAWN_DATA,
    measurable_scores=100_000,
)
