"""The digits example: its split, its measures by hand, and the script, one epoch."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
pytest.importorskip("tqdm")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def digits(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import digits

    return digits


# --- The data -----------------------------------------------------------------------------------


def test_load_gives_the_real_digits(digits):
    data = digits.load()
    assert data.images.shape == (1797, 1, 8, 8) and data.labels.shape == (1797,)
    assert data.images.min() == 0 and data.images.max() == 1
    assert data.labels.unique().tolist() == list(range(10))


def test_split_holds_out_digits_and_images(digits):
    data = digits.load()
    split = digits.split_digits(data, unseen=[3, 9], seed=0)
    assert len(split.train) + len(split.held_out) == len(data)
    both = torch.cat([split.train.images, split.held_out.images]).flatten(1)
    assert torch.equal(both.unique(dim=0), data.images.flatten(1).unique(dim=0))

    assert not torch.isin(split.train.labels, torch.tensor([3, 9])).any()
    assert torch.equal(split.is_unseen, torch.isin(split.held_out.labels, torch.tensor([3, 9])))
    for digit in range(10):
        total, held_out = ((d.labels == digit).sum().item() for d in (data, split.held_out))
        assert held_out == (total if digit in (3, 9) else round(0.25 * total))


def test_split_depends_on_the_seed_alone(digits):
    data = digits.load()
    first, again, other = (digits.split_digits(data, [9], seed) for seed in (0, 0, 1))
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.images, other.train.images)


# --- The experiment -----------------------------------------------------------------------------


def test_jitter_stays_near(digits):
    images = digits.load().images[:200]
    moved = digits.jitter(images)
    assert moved.shape == images.shape and not torch.equal(moved, images)
    assert (moved - images).abs().mean() < 0.2  # another image of the digit: over 0.2
    assert ((moved >= 0) & (moved <= 1 + 1e-6)).all()


def test_evaluate_by_hand(digits):
    # On a line: 0 of A, 1 of B, 3 of A, 7 of B, 8 of A.
    embeddings = torch.tensor([[0.0], [1.0], [3.0], [7.0], [8.0]])
    labels = torch.tensor([0, 1, 0, 1, 0])
    queries = torch.tensor([True, False, False, True, False])
    quality = digits.evaluate(embeddings, labels, queries)
    # From 0: B A B A. From 7: A A B A.
    assert quality.recall == 0
    assert quality.mean_ap == pytest.approx(((1 / 2 + 2 / 4) / 2 + 1 / 3) / 2)


def test_evaluate_is_average_precision(digits):
    from sklearn.metrics import average_precision_score

    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(40, 3, generator=generator)
    labels = torch.randint(4, (40,), generator=generator)
    queries = torch.ones(40, dtype=torch.bool)
    distances = torch.cdist(embeddings, embeddings)
    expected = []
    for row in range(40):
        others = torch.arange(40) != row
        relevant = (labels == labels[row])[others]
        expected.append(average_precision_score(relevant, -distances[row, others]))
    assert digits.evaluate(embeddings, labels, queries).mean_ap == pytest.approx(np.mean(expected))


@pytest.mark.slow
def test_whole_script(digits, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(digits, "TSNE", functools.partial(digits.TSNE, max_iter=250))
    output = tmp_path / "digits.png"
    arguments = ["--epochs=1", "--dim=8", "--device=cpu", "--quiet", f"--output={output}"]
    digits.main(arguments)
    printed = capsys.readouterr().out
    assert "948 images to train on, 849 held out" in printed
    assert all(name in printed for name in ("pixels", "untrained", "trained", "never seen (533)"))
    assert output.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_training_improves_new_images(digits):
    options = digits.parse_options(["--epochs=2", "--dim=16", "--device=cpu", "--quiet"])
    split = digits.split_digits(digits.load(), options.unseen, options.seed)
    torch.manual_seed(0)
    model = digits.Embedding(options.dim)
    seen = ~split.is_unseen

    def mean_ap() -> float:
        embeddings = digits.embed(model, split.held_out.images)
        return digits.evaluate(embeddings, split.held_out.labels, seen).mean_ap

    before = mean_ap()
    digits.train(model, split.train, options)
    assert mean_ap() > before + 0.1


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--unseen", *"012345678"], "--unseen: training needs two digits or more"),
        (["--output=absent/digits.png"], "--output: there is no folder absent"),
        (["--epochs=0"], "argument --epochs: invalid positive value: '0'"),
    ],
)
def test_bad_options_are_refused(digits, capsys, arguments, reason):
    with pytest.raises(SystemExit) as error:
        digits.main(arguments)
    assert error.value.code == 2 and reason in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.slow
def test_interrupt_ends_in_one_line(tmp_path):
    command = [sys.executable, "-u", EXAMPLES / "digits.py", "--epochs=9999", "--quiet"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.readline()  # the training begins
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "\ndigits: interrupted\n"
