"""Trains a recommender on MovieLens-100K with an exact all-pairs loss over the whole catalogue.

    pip install ".[examples]" && python examples/movielens.py

Each user is one list of all 1,682 films: those the user gave 4 stars or more are relevant, every
other one is not, and the hinge loss wants each relevant film a margin above each of the others.
In a few lines of plain PyTorch that is a [users, 1682, 1682] tensor, 10.7 GB for all 943 users, and
several of them at once; so recommenders sample pairs instead. `pairwise_hinge_loss` takes all pairs
at the cost of a sort (see `train_all_pairs`). The same matrix factorisation is trained on sampled
pairs (BPR) for as many epochs, and a ranking by popularity shows what is easy.

The films that a user has rated before are left out of the ranking. NDCG@10 and Recall@10 are
scikit-learn's. Each model counts as it was in its best epoch on validation ratings, and the table
gives its result on test ratings, which nothing else looks at. The curves go to a PNG.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":  # up here, because importing torch takes seconds too

    def interrupted(*_: object) -> None:
        print("\nmovielens: interrupted", file=sys.stderr)
        sys.exit(130)

    signal.signal(signal.SIGINT, interrupted)

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from movielens_data import ITEMS, USERS, DataError, Split, load_ratings, split_ratings
from sklearn.metrics import ndcg_score, recall_score
from torch import Tensor, nn
from tqdm import tqdm

from fused_rankloss import build_info, pairwise_hinge_loss


class MatrixFactorisation(nn.Module):
    """score(user, item) = <user vector, item vector> + item bias."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.user = nn.Parameter(0.1 * torch.randn(USERS, dim))
        self.item = nn.Parameter(0.1 * torch.randn(ITEMS, dim))
        self.bias = nn.Parameter(torch.zeros(ITEMS))

    def forward(self, users: Tensor) -> Tensor:
        """Scores of every item for the given users, `[B, 1682]`."""
        return self.user[users] @ self.item.T + self.bias


# --- One epoch of training, the two ways ----------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """What differs between the two: each is tuned for itself."""

    lr: float
    l2: float  # on the vectors of the users and items in a batch
    batch_size: int  # users for all pairs, (user, relevant item) pairs for BPR


def train_all_pairs(model: MatrixFactorisation, relevant: Tensor, s: Settings) -> Iterator[Tensor]:
    """Yields the loss of each batch of users: all of their pairs."""
    for users in torch.randperm(USERS).to(relevant.device).split(s.batch_size):
        scores, labels = model(users), relevant[users]  # both [B, 1682]
        loss = pairwise_hinge_loss(scores, labels, reduction="list_mean")
        yield loss + s.l2 * (square_norm(model.user[users]) + square_norm(model.item))


def train_bpr(model: MatrixFactorisation, relevant: Tensor, s: Settings) -> Iterator[Tensor]:
    """Yields the loss of each batch of pairs: every relevant item, against one random other."""
    pairs = relevant.nonzero()
    for batch in torch.randperm(len(pairs)).to(relevant.device).split(s.batch_size):
        users, better = pairs[batch].T
        worse = sample_not_relevant(relevant, users)
        user, item, other = model.user[users], model.item[better], model.item[worse]
        gap = (user * (item - other)).sum(1) + model.bias[better] - model.bias[worse]
        loss = F.softplus(-gap).mean()
        yield loss + s.l2 * (square_norm(user) + square_norm(item) + square_norm(other))


def sample_not_relevant(relevant: Tensor, users: Tensor) -> Tensor:
    """For each user, an item drawn uniformly from those that are not relevant."""
    items = torch.randint(ITEMS, users.shape).to(users.device)
    while (hit := relevant[users, items]).any():
        items = torch.where(hit, torch.randint(ITEMS, users.shape).to(users.device), items)
    return items


def square_norm(vectors: Tensor) -> Tensor:
    return vectors.square().sum(1).mean()


# The best of 16 settings each, by NDCG@10 on the validation ratings of seed 0 in 50 epochs, with 64
# dimensions: 0.24 and 0.23. The test ratings had no say. For all pairs: lr 0.005 and 0.01; l2
# 0.02, 0.03, 0.04, 0.06; 32 and 64 users. For BPR: lr 0.002 and 0.003; l2 0.007, 0.01, 0.014, 0.02;
# 512 and 1024 pairs, and two more settings with 256 pairs, which were no better.
ALL_PAIRS = Settings(lr=0.005, l2=0.04, batch_size=32)
BPR = Settings(lr=0.003, l2=0.007, batch_size=512)


# --- Measuring ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quality:
    ndcg: float
    recall: float


def evaluate(scores: Tensor, relevant: Tensor, hidden: Tensor) -> Quality:
    """NDCG@10 and Recall@10 of ranking each user's items by `scores`; all are `[943, 1682]`.

    Items in `hidden` are not recommended; users without a relevant item do not count.
    """
    scores = scores.masked_fill(hidden, scores.min().item() - 1)
    recommended = torch.zeros_like(relevant).scatter_(1, scores.topk(10).indices, True)
    counts = relevant.any(1)
    truth = relevant[counts].int().numpy()
    return Quality(
        ndcg=float(ndcg_score(truth, scores[counts].numpy(), k=10)),
        recall=float(recall_score(truth, recommended[counts].int().numpy(), average="samples")),
    )


def validate(scores: Tensor, split: Split) -> Quality:
    return evaluate(scores, split.valid_relevant, split.train_rated)


def test(scores: Tensor, split: Split) -> Quality:
    return evaluate(scores, split.test_relevant, split.train_rated | split.valid_rated)


@dataclass
class Run:
    """The history of one method; only its best epoch is put to the test."""

    name: str
    colour: str
    epochs: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)  # spent training until then
    valid: list[Quality] = field(default_factory=list)
    tested: Quality = Quality(0.0, 0.0)

    @property
    def best(self) -> int:
        return max(range(len(self.valid)), key=lambda place: self.valid[place].ndcg)


# --- The experiment -----------------------------------------------------------------------------


def rank_by_popularity(split: Split) -> Run:
    scores = split.train_relevant.sum(0).float().expand(USERS, ITEMS)
    run = Run("popularity", "0.45", epochs=[0], seconds=[0.0], valid=[validate(scores, split)])
    run.tested = test(scores, split)
    return run


def train(
    run: Run,
    batches: Callable[[MatrixFactorisation, Tensor, Settings], Iterator[Tensor]],
    settings: Settings,
    split: Split,
    options: argparse.Namespace,
) -> Run:
    """Trains a new model on the losses that `batches` yields, and fills in `run`."""
    torch.manual_seed(options.seed)
    model = MatrixFactorisation(options.dim).to(options.device)
    optimiser = torch.optim.Adam(model.parameters(), lr=settings.lr, fused=True)
    relevant = split.train_relevant.to(options.device)
    everyone = torch.arange(USERS, device=options.device)
    best_scores, spent = torch.empty(0), 0.0

    bar = tqdm(range(1, options.epochs + 1), desc=run.name, unit="epoch", disable=options.quiet)
    for epoch in bar:
        start = time.perf_counter()
        for loss in batches(model, relevant, settings):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            scores = model(everyone).cpu()  # also waits for the device
        spent += time.perf_counter() - start

        if epoch % options.eval_every and epoch != options.epochs:
            continue
        run.epochs.append(epoch)
        run.seconds.append(spent)
        run.valid.append(validate(scores, split))
        if run.best == len(run.valid) - 1:
            best_scores = scores
        bar.set_postfix_str(f"valid NDCG@10 {run.valid[-1].ndcg:.4f}")
    run.tested = test(best_scores, split)
    return run


# --- Telling ------------------------------------------------------------------------------------


def cost(split: Split, users: int) -> str:
    relevant = split.train_relevant.sum(1)
    pairs = (relevant * (ITEMS - relevant)).sum().item()
    tensor = ITEMS * ITEMS * torch.float32.itemsize / 1e9  # GB a user
    return (
        f"All pairs: {pairs / 1e6:.0f} million in {USERS} lists of {ITEMS:,} films. Plain PyTorch, "
        f"batched, would need\n{tensor * USERS:.1f} GB for every [users, {ITEMS}, {ITEMS}] tensor "
        f"of them ({tensor * users:.1f} GB for {users} users at a time)."
    )


def table(runs: list[Run]) -> str:
    head = f"{'':<24}{'test NDCG@10':>13}{'Recall@10':>11}{'best epoch':>12}{'training':>11}"
    rows = [
        f"{run.name:<24}{run.tested.ndcg:>13.4f}{run.tested.recall:>11.4f}"
        + (f"{run.epochs[run.best]:>12}{run.seconds[-1]:>9.1f} s" if run.seconds[-1] else "")
        for run in runs
    ]
    return "\n".join([head, *rows])


def draw(runs: list[Run], path: Path) -> None:
    """Validation NDCG@10 and Recall@10, against epochs and against seconds of training."""
    figure = Figure(figsize=(10, 7), layout="constrained")
    axes = figure.subplots(2, 2, sharey="row", sharex="col")
    for row, metric in zip(axes, ("ndcg", "recall"), strict=True):
        for axis, progress in zip(row, ("epochs", "seconds"), strict=True):
            for run in runs:
                values = [getattr(quality, metric) for quality in run.valid]
                label = f"{run.name}: {run.tested.ndcg:.3f}, {run.tested.recall:.3f}"
                if run.seconds == [0.0]:  # nothing to train
                    axis.axhline(values[0], color=run.colour, ls="--", label=label)
                    continue
                x = getattr(run, progress)
                axis.plot(x, values, color=run.colour, lw=2, label=label)
                axis.plot(x[run.best], values[run.best], "o", color=run.colour, ms=8)
            axis.set_xlim(left=0)
            axis.set_ylim(bottom=0)
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("validation NDCG@10")
    axes[1, 0].set_ylabel("validation Recall@10")
    axes[1, 0].set_xlabel("epoch")
    axes[1, 0].xaxis.get_major_locator().set_params(integer=True)
    axes[1, 1].set_xlabel("seconds of training")
    figure.suptitle("MovieLens-100K: hinge loss over all pairs, against sampled pairs", size=14)
    legend = figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(runs),
        frameon=False,
        title="NDCG@10 and Recall@10 on the test ratings, at the epoch of the dot",
    )
    legend.get_title().set_color("0.3")
    figure.savefig(path, dpi=150)


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    def positive(text: str) -> int:
        if (number := int(text)) < 1:
            raise ValueError
        return number

    parser = argparse.ArgumentParser(
        description="Matrix factorisation on MovieLens-100K: all pairs, sampled pairs, popularity.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, help="ml-100k.zip, u.data or its folder; downloaded without it")
    add("--epochs", type=positive, default=50, help="of either training")
    add("--eval-every", type=positive, default=2, help="epochs between validations")
    add("--dim", type=positive, default=64, help="length of the user and item vectors")
    add("--seed", type=int, default=0, help="of the split and of the training")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train")
    add("--output", type=Path, default=Path("movielens.png"), help="the curves")
    add("--quiet", action="store_true", help="no progress bars")
    options = parser.parse_args(arguments)

    no_cuda = None if torch.cuda.is_available() else "there is no CUDA device"
    no_cuda = no_cuda or build_info()["cuda_unavailable_reason"]
    if options.device == "cuda" and no_cuda:
        parser.error(f"--device cuda: {no_cuda}")
    if options.device == "auto":
        options.device = "cpu" if no_cuda else "cuda"
    if not options.output.absolute().parent.is_dir():
        parser.error(f"--output: there is no folder {options.output.parent}")
    return options


def main(arguments: list[str] | None = None) -> None:
    options = parse_options(arguments)
    split = split_ratings(load_ratings(options.data), options.seed)
    print(cost(split, ALL_PAIRS.batch_size))
    runs = [
        rank_by_popularity(split),
        train(Run("BPR, sampled pairs", "tab:orange"), train_bpr, BPR, split, options),
        train(Run("hinge, all pairs", "tab:blue"), train_all_pairs, ALL_PAIRS, split, options),
    ]
    print(table(runs))
    draw(runs, options.output)
    print(f"Curves: {options.output}")


if __name__ == "__main__":
    torch.set_num_threads(1)  # a step is so short that threads mostly wait for each other
    try:
        main()
    except (DataError, OSError) as error:
        sys.exit(f"movielens: {error}")
