"""All-pairs hinge losses over lists of scores.

losses     the losses, one row each
cases      shape x data x dtype x mode
data       the tensors of a case
baselines  common PyTorch code, and sorts as yardsticks
providers  the implementations that are measured, and the cases that each one runs
exact      the answer in float64
"""

from benchmarks.family import Family
from benchmarks.pairwise.cases import CASES, SMALL_CASES, ListCase
from benchmarks.pairwise.data import make_batch
from benchmarks.pairwise.exact import disagreement, exact_loss
from benchmarks.pairwise.losses import LOSSES
from benchmarks.pairwise.providers import PROVIDERS

PAIRWISE = Family(
    name="pairwise",
    titles={loss.name: loss.title for loss in LOSSES.values()},
    case=ListCase,
    cases=CASES,
    small_cases=SMALL_CASES,
    providers=PROVIDERS,
    make_batch=make_batch,
    exact=exact_loss,
    disagreement=disagreement,
    compares_memory=lambda case: case.data == "",
    measurable_scores=10_000,
)
