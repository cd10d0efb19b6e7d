"""Learning to rank over lists of scores: RankNet, LambdaRank, LambdaLoss and the listwise losses.

losses     the losses, one row each
cases      shape x dtype x mode
baselines  what libraries for learning to rank do
providers  the implementations that are measured, and the cases that each one runs
exact      the answer in float64, from one_list and, for long lists, gap_sums

Batches and the check of a provider's answer are those of ``lists``.
"""

from benchmarks.family import Family
from benchmarks.pairwise.cases import ListCase
from benchmarks.pairwise.exact import disagreement
from benchmarks.ranking.cases import CASES, SMALL_CASES, make_batch
from benchmarks.ranking.exact import exact_loss
from benchmarks.ranking.losses import LOSSES, MAIN_LOSSES
from benchmarks.ranking.providers import PROVIDERS

RANKING = Family(
    name="ranking",
    titles={loss.name: loss.title for loss in LOSSES.values()},
    case=ListCase,
    cases=CASES,
    small_cases=SMALL_CASES,
    providers=PROVIDERS,
    make_batch=make_batch,
    exact=exact_loss,
    disagreement=disagreement,
    compares_memory=lambda case: case.loss in MAIN_LOSSES and not case.ragged,
    measurable_scores=4096,
)
