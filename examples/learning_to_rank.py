"""Trains a small neural ranker on search data with three losses, beside LightGBM's LambdaRank.

    pip install ".[examples]" && python examples/learning_to_rank.py

Queries have lists of documents, of any length, with grades of relevance. The same network, one
hidden layer on features and their ranks within the query, is trained with `lambda_loss`
(LambdaRank), `list_mle_loss` and `pairwise_hinge_loss`; all take the ragged lists as they are, with
`offsets`. NDCG@10 after every epoch comes out of `lambda_loss` too, with `return_statistics=True`.

A fifth of the training queries is for validation. Each model counts as it was in its best epoch on
those, and the table gives its NDCG@10 on the test queries. LightGBM trains its `lambdarank`
objective on the same queries, stopped by the same validation queries; it is left out where it is
not installed. With a few dozen test queries a difference of 0.01 means nothing, so everything runs
with several seeds, of the split and of the training, and the table gives mean and spread.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":  # up here, because importing torch takes seconds too

    def interrupted(*_: object) -> None:
        print("\nlearning_to_rank: interrupted", file=sys.stderr)
        sys.exit(130)

    signal.signal(signal.SIGINT, interrupted)

import numpy as np
import torch
from learning_to_rank_data import DataError, Queries, for_the_network, load_queries, split
from matplotlib.figure import Figure
from torch import Tensor, nn
from tqdm import tqdm

from fused_rankloss import build_info, lambda_loss, list_mle_loss, pairwise_hinge_loss

try:
    import lightgbm
except ImportError:  # an extra; the networks train without it
    lightgbm = None

# A loss of scores [T], labels [T] and offsets [Q + 1]: of a batch of ragged lists.
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def lambdarank(scores: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
    return lambda_loss(scores, labels, offsets=offsets, reduction="batch_mean")


def list_mle(scores: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
    return list_mle_loss(scores, labels, offsets=offsets)


def hinge(scores: Tensor, labels: Tensor, offsets: Tensor) -> Tensor:
    return pairwise_hinge_loss(scores, labels, offsets=offsets, reduction="list_mean")


LOSSES: dict[str, Loss] = {
    "LambdaRank loss": lambdarank,
    "ListMLE loss": list_mle,
    "pairwise hinge loss": hinge,
}
YARD_STICK = "LightGBM lambdarank"
COLOURS = dict(
    zip([*LOSSES, YARD_STICK], ("tab:blue", "tab:green", "tab:orange", "0.4"), strict=True)
)


class Ranker(nn.Sequential):
    """The score of a document from its features."""

    def __init__(self, width: int, hidden: int = 64) -> None:
        super().__init__(
            nn.Dropout(0.2),
            nn.Linear(width, hidden),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(hidden, 1),
            nn.Flatten(0),
        )


# --- Measuring ----------------------------------------------------------------------------------


def mean_ndcg(scores: Tensor, labels: Tensor, offsets: Tensor) -> float:
    """NDCG@10, the mean over queries that have a relevant document."""
    with torch.no_grad():
        _, lists = lambda_loss(scores, labels, offsets=offsets, k=10, return_statistics=True)
    return lists.ndcg.nanmean().item()


@dataclass(frozen=True)
class Batch:
    """Queries as the network and the losses take them."""

    features: Tensor
    labels: Tensor
    offsets: Tensor

    @staticmethod
    def of(queries: Queries, device: str) -> "Batch":
        labels, offsets = torch.from_numpy(queries.labels), torch.from_numpy(queries.offsets())
        return Batch(for_the_network(queries).to(device), labels.to(device), offsets.to(device))

    def take(self, queries: Tensor) -> "Batch":
        """Some of the queries."""
        sizes = self.offsets.diff()[queries]
        offsets = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
        shift = torch.repeat_interleave(self.offsets[queries] - offsets[:-1], sizes)
        items = torch.arange(len(shift), device=shift.device) + shift
        return Batch(self.features[items], self.labels[items], offsets)

    def quality(self, model: nn.Module) -> float:
        model.eval()
        with torch.no_grad():
            return mean_ndcg(model(self.features), self.labels, self.offsets)


@dataclass(frozen=True)
class Data:
    """One split of the training queries, and the test queries."""

    train: Queries
    valid: Queries
    test: Queries


@dataclass
class Run:
    """The history of one method on one split, by epoch (by tree, for LightGBM)."""

    name: str
    valid: list[float] = field(default_factory=list)
    test: list[float] = field(default_factory=list)
    seconds: float = 0.0  # spent training

    @property
    def best(self) -> int:
        return max(range(len(self.valid)), key=lambda place: self.valid[place])

    @property
    def tested(self) -> float:
        return self.test[self.best]


# --- The experiment -----------------------------------------------------------------------------


def train_network(name: str, data: Data, seed: int, options: argparse.Namespace) -> Run:
    torch.manual_seed(seed)
    train, valid, test = (
        Batch.of(part, options.device) for part in (data.train, data.valid, data.test)
    )
    model = Ranker(train.features.shape[1]).to(options.device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
    run = Run(name)
    bar = tqdm(range(options.epochs), desc=f"{name}, seed {seed}", disable=options.quiet)
    for _ in bar:
        start = time.perf_counter()
        model.train()
        for queries in torch.randperm(len(data.train.sizes)).to(options.device).split(16):
            batch = train.take(queries)
            loss = LOSSES[name](model(batch.features), batch.labels, batch.offsets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        run.seconds += time.perf_counter() - start
        run.valid.append(valid.quality(model))
        run.test.append(test.quality(model))
        bar.set_postfix_str(f"valid NDCG@10 {run.valid[-1]:.4f}")
    return run


# Trees for a few thousand documents: small, many, each on half of the features.
LIGHTGBM = {
    "objective": "lambdarank",
    "metric": "ndcg",
    "eval_at": [10],
    "learning_rate": 0.05,
    "num_leaves": 7,
    "feature_fraction": 0.5,
    "verbose": -1,
    "num_threads": 1,
    "deterministic": True,
}


def train_lightgbm(data: Data, seed: int, options: argparse.Namespace) -> Run:
    run = Run(YARD_STICK)
    start = time.perf_counter()
    train, valid = (
        lightgbm.Dataset(part.features, part.labels, group=part.sizes)
        for part in (data.train, data.valid)
    )
    model = lightgbm.train({**LIGHTGBM, "seed": seed}, train, num_boost_round=options.trees)
    run.seconds = time.perf_counter() - start
    parts = [
        (part, torch.from_numpy(part.labels), torch.from_numpy(part.offsets()))
        for part in (data.valid, data.test)
    ]
    scores = [np.zeros(len(part.labels)) for part, _, _ in parts]
    trees = tqdm(range(options.trees), desc=f"{YARD_STICK}, seed {seed}", disable=options.quiet)
    for tree in trees:
        for total, values, (part, labels, offsets) in zip(
            scores, (run.valid, run.test), parts, strict=True
        ):
            total += model.predict(part.features, start_iteration=tree, num_iteration=1)
            values.append(mean_ndcg(torch.from_numpy(total), labels, offsets))
    return run


# --- Telling ------------------------------------------------------------------------------------


def describe(train: Queries, test: Queries) -> str:
    sizes = np.concatenate([train.sizes, test.sizes])
    return (
        f"{len(train.sizes)} + {len(test.sizes)} queries of {sizes.min()} to {sizes.max()} "
        f"documents, {train.features.shape[1]} features, grades {train.labels.min()} to "
        f"{train.labels.max()}"
    )


def table(runs: dict[str, list[Run]]) -> str:
    head = f"{'':<22}{'test NDCG@10':>18}{'validation':>12}{'best after':>12}{'training':>11}"
    rows = []
    for name, seeds in runs.items():
        tested = [run.tested for run in seeds]
        valid = np.mean([run.valid[run.best] for run in seeds])
        unit = "trees" if name == YARD_STICK else "epochs"
        after = f"{np.mean([run.best + 1 for run in seeds]):.0f} {unit}"
        seconds = np.mean([run.seconds for run in seeds])
        rows.append(
            f"{name:<22}{np.mean(tested):>9.4f} +- {np.std(tested):.4f}{valid:>12.4f}"
            f"{after:>12}{seconds:>9.1f} s"
        )
    return "\n".join([head, *rows])


def draw(runs: dict[str, list[Run]], path: Path) -> None:
    """NDCG@10 on the test queries, by epoch: mean over the seeds, and from lowest to highest."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, seeds in runs.items():
        tested = np.mean([run.tested for run in seeds])
        label = f"{name}: {tested:.3f}"
        if name == YARD_STICK:
            axes.axhline(tested, color=COLOURS[name], ls="--", label=label)
            continue
        curves = np.array([run.test for run in seeds])
        epochs = np.arange(1, curves.shape[1] + 1)
        axes.fill_between(epochs, curves.min(0), curves.max(0), color=COLOURS[name], alpha=0.12)
        axes.plot(epochs, curves.mean(0), color=COLOURS[name], lw=2, label=label)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylabel("NDCG@10 on test queries")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    legend = figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=2,
        frameon=False,
        title="test NDCG@10, each at its best on the validation queries",
    )
    legend.get_title().set_color("0.3")
    figure.suptitle("A small neural ranker on search data, by its loss", size=14)
    figure.savefig(path, dpi=150)


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    def positive(text: str) -> int:
        if (number := int(text)) < 1:
            raise ValueError
        return number

    parser = argparse.ArgumentParser(
        description="A neural ranker on search data: LambdaRank, ListMLE, hinge; and LightGBM.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, help="folder of rank.train, rank.test (LightGBM) or train.txt, "
        "test.txt (LETOR); LightGBM's example data is downloaded without it")  # fmt: skip
    add("--epochs", type=positive, default=40, help="of each network")
    add("--trees", type=positive, default=200, help="of LightGBM")
    add("--seeds", type=positive, default=5, help="number of splits and trainings of each method")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train")
    add("--output", type=Path, default=Path("learning_to_rank.png"), help="the curves")
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
    queries, test = load_queries(options.data)
    print(describe(queries, test))
    methods = [*LOSSES, *([YARD_STICK] if lightgbm else [])]
    if lightgbm is None:
        print("lightgbm is not installed: no yard-stick (pip install lightgbm)", file=sys.stderr)
    runs: dict[str, list[Run]] = {name: [] for name in methods}
    for seed in range(options.seeds):
        data = Data(*split(queries, 0.2, seed), test)
        for name in LOSSES:
            runs[name].append(train_network(name, data, seed, options))
        if lightgbm:
            runs[YARD_STICK].append(train_lightgbm(data, seed, options))
    print(table(runs))
    draw(runs, options.output)
    print(f"Curves: {options.output}")


if __name__ == "__main__":
    torch.set_num_threads(1)  # a step is so short that threads mostly wait for each other
    try:
        main()
    except (DataError, OSError) as error:
        sys.exit(f"learning_to_rank: {error}")
