"""Learns an embedding of handwritten digits with the batch-hard triplet loss.

    pip install ".[examples]" && python examples/digits.py

The data are scikit-learn's 1,797 real digits of 8 x 8 pixels, which come with the library. A small
convolutional network maps an image to a vector; `batch_hard_triplet_loss` pulls each image's
farthest image of the same digit nearer than the nearest image of another one, in batches of P
digits with K images each (`PKSampler`).

An embedding is worth what it does for images, and for classes, that training has not seen. Held out
are every image of the digits 7, 8 and 9, so that the network has never met them, and a quarter of
the images of the other digits. Each held-out image then searches the others by distance: recall@1
says how often the nearest shows the same digit, mAP how well all of that digit come first. Both are
also given for the pixels themselves and for the network before training. The figure shows the
held-out embeddings before and after, by t-SNE.
"""

import argparse
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # up here, because importing torch takes seconds too

    def interrupted(*_: object) -> None:
        print("\ndigits: interrupted", file=sys.stderr)
        sys.exit(130)

    signal.signal(signal.SIGINT, interrupted)

import torch
import torch.nn.functional as F
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits  # comes with scikit-learn
from torch import Tensor, nn
from tqdm import tqdm

from fused_rankloss import PKSampler, batch_hard_triplet_loss, build_info

SIDE = 8  # pixels
# K of a batch; P is every digit of the training set. This, the dropout and the defaults of the
# options are the best of ten settings by mAP where the digits never seen were others: 0 4 8, 2 5 6,
# 1 3 6 and 0 2 4. Those shown had no say.
SAMPLES_PER_CLASS = 16

# --- The data -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Digits:
    images: Tensor  # [N, 1, 8, 8], from 0 to 1
    labels: Tensor  # [N]

    def __getitem__(self, chosen: Tensor | list[int]) -> "Digits":
        return Digits(self.images[chosen], self.labels[chosen])

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Split:
    train: Digits
    held_out: Digits  # new images of the digits in `train`, and every image of the others
    is_unseen: Tensor  # bool, whether a held-out image shows one of the others


def load() -> Digits:
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float().div(bunch.images.max())
    return Digits(images[:, None], torch.from_numpy(bunch.target))


def split_digits(digits: Digits, unseen: list[int], seed: int, held_out: float = 0.25) -> Split:
    """Holds out every image of the `unseen` digits and a share of each other digit's images."""
    generator = torch.Generator().manual_seed(seed)
    is_held_out = torch.isin(digits.labels, torch.tensor(unseen))
    for digit in digits.labels[~is_held_out].unique():
        [members] = torch.where(digits.labels == digit)
        members = members[torch.randperm(len(members), generator=generator)]
        is_held_out[members[: round(held_out * len(members))]] = True
    tested = digits[is_held_out]
    return Split(digits[~is_held_out], tested, torch.isin(tested.labels, torch.tensor(unseen)))


# --- Training -----------------------------------------------------------------------------------


class Embedding(nn.Sequential):
    """A vector of `dim` numbers for each image `[B, 1, 8, 8]`."""

    def __init__(self, dim: int) -> None:
        def block(channels_in: int, channels_out: int) -> list[nn.Module]:
            convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
            return [convolution, nn.BatchNorm2d(channels_out), nn.ReLU()]

        features = [*block(1, 32), *block(32, 64), nn.MaxPool2d(2), *block(64, 64), nn.Flatten()]
        super().__init__(*features, nn.Dropout(0.5), nn.Linear(64 * (SIDE // 2) ** 2, dim))


def jitter(images: Tensor) -> Tensor:
    """Turned by up to 15 degrees, scaled by up to 10% and shifted by up to half a pixel."""
    angle, scale, x, y = (2 * torch.rand(4, len(images)) - 1).unbind()
    angle, scale = torch.pi / 12 * angle, 1 + 0.1 * scale
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos, -sin, x / SIDE]), torch.stack([sin, cos, y / SIDE])  # the width is 2
    transform = torch.stack(rows).permute(2, 0, 1).to(images.device)
    grid = F.affine_grid(transform, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def train(model: Embedding, digits: Digits, options: argparse.Namespace) -> float:
    """Trains the model in place. Returns the seconds it took."""
    classes = len(digits.labels.unique())
    sampler = PKSampler(digits.labels, classes, SAMPLES_PER_CLASS, seed=options.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=options.lr, total_steps=options.epochs * len(sampler)
    )
    start = time.perf_counter()
    bar = tqdm(range(options.epochs), desc="batch-hard", unit="epoch", disable=options.quiet)
    for epoch in bar:
        sampler.set_epoch(epoch)
        losses = []
        for batch in sampler:
            images, labels = digits.images[batch], digits.labels[batch]
            loss = batch_hard_triplet_loss(model(jitter(images)), labels, margin="soft")
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
        bar.set_postfix_str(f"loss {torch.stack(losses).mean().item():.3f}")
    return time.perf_counter() - start


@torch.no_grad()
def embed(model: Embedding, images: Tensor) -> Tensor:
    model.eval()
    embeddings = model(images)
    model.train()
    return embeddings.cpu()


# --- Measuring ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Quality:
    recall: float  # @1
    mean_ap: float


def evaluate(embeddings: Tensor, labels: Tensor, queries: Tensor) -> Quality:
    """Ranks all other images by distance from each of the queries, a bool mask `[N]`."""
    distances = torch.cdist(embeddings, embeddings)
    distances.fill_diagonal_(torch.inf)  # the query itself comes last, and is cut off
    order = distances[queries].argsort(dim=1, stable=True)[:, :-1]
    relevant = (labels[order] == labels[queries, None]).double()
    precision = relevant.cumsum(1) / torch.arange(1, order.shape[1] + 1)
    average_precision = (precision * relevant).sum(1) / relevant.sum(1)
    return Quality(relevant[:, 0].mean().item(), average_precision.mean().item())


def table(embeddings: dict[str, Tensor], split: Split) -> str:
    """A row for each kind of embedding; every held-out image searches all the others."""
    labels, unseen = split.held_out.labels, split.is_unseen
    groups = {
        "all": torch.ones_like(unseen),
        "digits seen": ~unseen,
        "digits never seen": unseen,
    }
    titles = [f"{name} ({mask.sum()})" for name, mask in groups.items() if mask.any()]
    lines = [
        f"{'':<18}" + "".join(f"{title:>25}" for title in titles),
        f"{'':<18}" + f"{'recall@1':>17}{'mAP':>8}" * len(titles),
    ]
    for name, vectors in embeddings.items():
        qualities = [evaluate(vectors, labels, mask) for mask in groups.values() if mask.any()]
        cells = "".join(f"{q.recall:>17.3f}{q.mean_ap:>8.3f}" for q in qualities)
        lines.append(f"{name:<18}{cells}")
    return "\n".join(lines)


# --- Drawing ------------------------------------------------------------------------------------

COLOURS = (  # one a digit: dark enough on white, and told apart by those who see fewer colours
    "#4477AA", "#CC6677", "#117733", "#999933", "#332288",
    "#44AA99", "#882255", "#DD7700", "#AA4499", "#222222",
)  # fmt: skip


def draw(before: Tensor, after: Tensor, split: Split, options: argparse.Namespace) -> None:
    figure = Figure(figsize=(12, 6.6), layout="constrained")
    title = "Held-out digits, before and after training with the batch-hard triplet loss"
    figure.suptitle(title, size=14)
    for axes, name, embeddings in zip(
        figure.subplots(1, 2), ("before", "after"), (before, after), strict=True
    ):
        scatter(axes, embeddings, split, options.seed)
        everyone = torch.ones_like(split.is_unseen)
        quality = evaluate(embeddings, split.held_out.labels, everyone)
        numbers = f"recall@1 {quality.recall:.3f}, mAP {quality.mean_ap:.3f}"
        axes.set_title(f"{name}: {numbers}", size=12, color="0.25")
    unseen = ", ".join(map(str, options.unseen))
    figure.supxlabel(
        f"Each numeral is a held-out image, placed by t-SNE. Boxed: the digits {unseen}, of which "
        "training has seen no image.",
        size=10, color="0.35",
    )  # fmt: skip
    figure.savefig(options.output, dpi=150)


def scatter(axes: Axes, embeddings: Tensor, split: Split, seed: int) -> None:
    """Every held-out image as its numeral, and each digit's centre as a large one."""
    with threadpool_limits(1):  # its steps are so short that threads mostly wait for each other
        places = TSNE(random_state=seed).fit_transform(embeddings.numpy())
    labels = split.held_out.labels
    for digit in labels.unique().tolist():
        own = torch.from_numpy(places)[labels == digit]
        axes.scatter(
            *own.T, s=36, marker=f"${digit}$", color=COLOURS[digit], linewidths=0.2, alpha=0.75
        )
        centre = own[torch.cdist(own, own).sum(1).argmin()]  # the medoid lies within the cluster
        box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": COLOURS[digit], "alpha": 0.9}
        axes.text(
            *centre, str(digit), size=22, weight="bold", ha="center", va="center",
            color=COLOURS[digit],
            path_effects=[patheffects.withStroke(linewidth=4, foreground="white")],
            bbox=box if split.is_unseen[labels == digit].all() else None,
        )  # fmt: skip
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_color("0.85")


# --- The experiment -----------------------------------------------------------------------------


def parse_options(arguments: list[str] | None) -> argparse.Namespace:
    def positive(text: str) -> int:
        if (number := int(text)) < 1:
            raise ValueError
        return number

    parser = argparse.ArgumentParser(
        description="An embedding of handwritten digits by the batch-hard triplet loss.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--epochs", type=positive, default=20)
    add("--dim", type=positive, default=128, help="length of the vectors")
    add("--lr", type=float, default=3e-3, help="the highest of the schedule")
    unseen = "digits of which training sees no image"
    add("--unseen", type=int, nargs="+", choices=range(10), default=[7, 8, 9], help=unseen)
    add("--seed", type=int, default=0, help="of the split, the training and the figure")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train")
    add("--output", type=Path, default=Path("digits.png"), help="the figure")
    add("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)

    if len(set(options.unseen)) > 8:
        parser.error("--unseen: training needs two digits or more")
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
    split = split_digits(load(), options.unseen, options.seed)
    print(f"{len(split.train)} images to train on, {len(split.held_out)} held out.")
    torch.manual_seed(options.seed)
    model = Embedding(options.dim).to(options.device)
    held_out = split.held_out.images.to(options.device)
    before = embed(model, held_out)
    on_device = Digits(*(t.to(options.device) for t in (split.train.images, split.train.labels)))
    seconds = train(model, on_device, options)
    after = embed(model, held_out)
    pixels = split.held_out.images.flatten(1)
    print(table({"pixels": pixels, "untrained network": before, "trained network": after}, split))
    print(f"Trained for {options.epochs} epochs in {seconds:.1f} s.")
    draw(before, after, split, options)
    print(f"Figure: {options.output}")


if __name__ == "__main__":
    torch.set_num_threads(1)  # a step is so short that threads mostly wait for each other
    try:
        main()
    except OSError as error:
        sys.exit(f"digits: {error}")
