"""The learning-to-rank example: its data handling and its pieces, on made-up queries."""

import io
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
pytest.importorskip("tqdm")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    """Puts the example's two files on the path, as running the script does."""
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture
def data():
    import learning_to_rank_data

    return learning_to_rank_data


@pytest.fixture
def example():
    import learning_to_rank

    return learning_to_rank


SIZES = {"train": [7, 1, 12, 9, 4, 8, 11, 6, 5, 10], "test": [9, 3, 14, 8]}


def lines(sizes: list[int], seed: int, qid: bool = False) -> str:
    """Documents whose grade shows in the features 3 and 8."""
    numbers = np.random.default_rng(seed)
    text = []
    for query, size in enumerate(sizes):
        for _ in range(size):
            grade = int(numbers.integers(0, 5))
            near = grade / 4 + numbers.normal() / 10
            words = [f"qid:{query}"] if qid else []
            words += [f"3:{near:.3f}", f"8:{near * 100:.3f}", f"5:{numbers.random():.3f}"]
            text.append(" ".join([str(grade), *words]))
    return "\n".join(text) + "\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    for seed, (name, sizes) in enumerate(SIZES.items()):
        (tmp_path / f"rank.{name}").write_text(lines(sizes, seed))
        (tmp_path / f"rank.{name}.query").write_text("".join(f"{size}\n" for size in sizes))
    return tmp_path


# --- The data -----------------------------------------------------------------------------------


def test_both_formats_hold_the_same(data, folder, tmp_path_factory):
    letor = tmp_path_factory.mktemp("letor")
    for seed, (name, sizes) in enumerate(SIZES.items()):
        (letor / f"{name}.txt").write_text(lines(sizes, seed, qid=True) + "# the end\n")
    for one, other in zip(data.load_queries(folder), data.load_queries(letor), strict=True):
        assert one.features.shape[1] == 9 and one.features.dtype == np.float32
        assert np.array_equal(one.features, other.features)
        assert np.array_equal(one.labels, other.labels)
        assert np.array_equal(one.sizes, other.sizes)


def test_features_may_be_missing_in_one_file(data, folder):
    (folder / "rank.test").write_text("1 2:0.5\n0 1:0.25 11:1\n")
    (folder / "rank.test.query").write_text("2\n")
    train, test = data.load_queries(folder)
    assert train.features.shape[1] == test.features.shape[1] == 12
    assert test.features[0, 2] == 0.5 and test.features[1].nonzero()[0].tolist() == [1, 11]


@pytest.mark.parametrize(
    ("text", "query", "reason"),
    [
        ("1 2:0.5\n", "2\n", "rank.train: 1 documents, but its queries have 2"),
        ("1 2:0.5\n", "1\n0\n", "rank.train: 1 documents, but its queries have 1"),
        ("x 2:0.5\n", "1\n", "rank.train: not lines of label index:value: "),
        ("1 2\n", "1\n", "rank.train: not lines of label index:value: "),
        ("1 2:0.5\n", "one\n", "rank.train: not lines of label index:value: "),
    ],
)
def test_bad_files(data, folder, text, query, reason):
    (folder / "rank.train").write_text(text)
    (folder / "rank.train.query").write_text(query)
    with pytest.raises(data.DataError) as error:
        data.load_queries(folder)
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_no_data(data, tmp_path, monkeypatch):
    with pytest.raises(data.DataError, match=r"holds neither rank\.train and rank\.test nor"):
        data.load_queries(tmp_path)

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(data.urllib.request, "urlopen", offline)
    with pytest.raises(data.DataError, match=r"cannot download .*no network.*--data"):
        data.load_queries()


def test_only_what_can_be_read_is_kept(data, folder, tmp_path, monkeypatch):
    """A captive portal answers everything with a page of its own, and is gone the next time."""
    names = [path.name for path in folder.iterdir()]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        data.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"<html>Welcome</html>\n")
    )
    with pytest.raises(data.DataError, match=r"cannot download .*not lines of label.*--data"):
        data.load_queries()
    cached = tmp_path / "cache" / "fused_rankloss" / "lightgbm-lambdarank"
    assert list(cached.iterdir()) == []

    def served(url, **_):
        return io.BytesIO((folder / url.rsplit("/")[-1]).read_bytes())

    monkeypatch.setattr(data.urllib.request, "urlopen", served)
    assert data.load_queries()[0].sizes.tolist() == SIZES["train"]
    assert sorted(path.name for path in cached.iterdir()) == sorted(names)


def test_the_cache_is_used(data, folder, tmp_path, monkeypatch):
    cached = tmp_path / "fused_rankloss" / "lightgbm-lambdarank"
    cached.parent.mkdir()
    cached.symlink_to(folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.load_queries()[0].sizes.tolist() == SIZES["train"]


def test_split_shares_out_the_queries(data, folder):
    train, _ = data.load_queries(folder)
    kept, held_out = data.split(train, 0.2, seed=0)
    assert len(held_out.sizes) == 2 and len(kept.sizes) == 8
    assert sorted([*kept.sizes, *held_out.sizes]) == sorted(SIZES["train"])
    rows = {tuple(row) for row in np.concatenate([kept.features, held_out.features])}
    assert rows == {tuple(row) for row in train.features}


def test_features_by_hand(data):
    features = np.array([[1.0], [3.0], [1.0], [-2.0], [7.0]], dtype=np.float32)
    queries = data.Queries(features, np.zeros(5, dtype=np.int64), np.array([4, 1]))
    made = data.for_the_network(queries)
    # Below and not above: 1 and 3, 3 and 4, 1 and 3, 0 and 1, of four; 0 and 1, of one.
    assert made[:, 1].tolist() == [0.0, 0.75, 0.0, -0.75, 0.0]
    assert made[:4, 0].tolist() == pytest.approx(
        [math.log(2), math.log(4), math.log(2), -math.log(3)]
    )


# --- The experiment -----------------------------------------------------------------------------


def test_ndcg_by_hand(example):
    labels, offsets = torch.tensor([0, 2, 1, 0, 0]), torch.tensor([0, 3, 5])
    scores = torch.tensor([3.0, 2.0, 1.0, 0.0, 0.0])
    wanted = (3 / math.log2(3) + 1 / 2) / (3 + 1 / math.log2(3))  # the other query has no relevant
    assert example.mean_ndcg(scores, labels, offsets) == pytest.approx(wanted)


def test_batches_are_queries(example, data, folder):
    queries, _ = data.load_queries(folder)
    batch = example.Batch.of(queries, "cpu")
    chosen = torch.tensor([3, 0, 7])
    some = batch.take(chosen)
    wanted = example.Batch.of(queries.take(chosen.numpy()), "cpu")
    for one, other in zip(vars(some).values(), vars(wanted).values(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("with_lightgbm", [True, False])
def test_whole_script(example, folder, tmp_path, capsys, monkeypatch, with_lightgbm):
    if with_lightgbm:
        pytest.importorskip("lightgbm")
    else:
        monkeypatch.setattr(example, "lightgbm", None)
    output = tmp_path / "curves.png"
    arguments = ["--epochs=100", "--trees=3", "--seeds=1", "--device=cpu", "--quiet"]
    example.main([*arguments, f"--data={folder}", f"--output={output}"])
    printed = capsys.readouterr()
    rows = {line[:22].strip(): line[22:].split() for line in printed.out.splitlines()[2:]}
    for name in example.LOSSES:
        assert float(rows[name][0]) > 0.9  # the grades are there to be read
    assert ("LightGBM lambdarank" in rows) == with_lightgbm
    assert ("lightgbm is not installed" in printed.err) != with_lightgbm
    assert output.read_bytes().startswith(b"\x89PNG")


def test_bad_data_ends_in_one_line(tmp_path):
    finished = subprocess.run(
        [sys.executable, EXAMPLES / "learning_to_rank.py", f"--data={tmp_path}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 1
    assert finished.stderr == (
        f"learning_to_rank: {tmp_path}: holds neither rank.train and rank.test nor train.txt and "
        "test.txt\n"
    )
