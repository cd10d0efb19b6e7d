"""The MovieLens example: its data handling and its pieces, on made-up ratings."""

import math
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")
pytest.importorskip("sklearn")
pytest.importorskip("tqdm")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    """Puts the example's two files on the path, as running the script does."""
    monkeypatch.syspath_prepend(EXAMPLES)


@pytest.fixture
def data():
    import movielens_data

    return movielens_data


@pytest.fixture
def movielens():
    import movielens

    return movielens


@pytest.fixture(scope="module")
def made_up() -> bytes:
    """A table with MovieLens-100K's numbers of ratings, users, items and grades."""
    users, items = np.divmod(np.random.default_rng(0).permutation(943 * 1682)[:100_000], 1682)
    stars = np.arange(100_000) % 5 + 1
    rows = zip(users + 1, items + 1, stars, strict=True)
    return "".join(f"{u}\t{i}\t{r}\t881250949\n" for u, i, r in rows).encode()


# --- The data -----------------------------------------------------------------------------------


def test_parse_counts_from_zero(data, made_up):
    ratings = data.parse_ratings(made_up, "here")
    assert ratings.shape == (100_000, 3) and ratings.dtype == np.int64
    assert ratings.min(0).tolist() == [0, 0, 1] and ratings.max(0).tolist() == [942, 1681, 5]
    header = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    assert np.array_equal(data.parse_ratings(header + made_up, "here"), ratings)


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (b"", "here: not tab-separated user, item, stars: empty"),
        (b"1 2 3 4\n", "here: not tab-separated user, item, stars: could not convert"),
        (b"1\t2\n", "here: not tab-separated user, item, stars: "),
        (b"\xff\xfe", "here: not tab-separated user, item, stars: "),
        (b"1\t1\t5\t0\n1\t1\t4\t0\n", "here: not MovieLens-100K: 2 ratings, not 100,000; "),
        (b"1\t1\t5\t0\n1\t1\t4\t0\n", "; users are not 1 to 943 (1 different ones); "),
        (b"1\t1\t5\t0\n1\t1\t4\t0\n", "; some user has rated an item twice"),
    ],
)
def test_parse_says_what_is_wrong(data, table, reason):
    with pytest.raises(data.DataError) as error:
        data.parse_ratings(table, "here")
    assert reason in str(error.value) and "\n" not in str(error.value)


def test_read_table_takes_files_folders_and_archives(data, tmp_path):
    (tmp_path / "u.data").write_bytes(b"table")
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as archive:
        archive.writestr("package/README", "no")
        archive.writestr("package/ml-100k/ml-100k.inter", "table")
    for path in (tmp_path / "u.data", tmp_path, tmp_path / "some.whl"):
        assert data.read_table(path) == b"table"


def test_read_table_says_what_is_missing(data, tmp_path):
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("README", "no")
    (tmp_path / "empty").mkdir()
    for name in ("other.zip", "empty"):
        with pytest.raises(data.DataError, match=rf"{name}: holds neither u\.data nor ml-100k"):
            data.read_table(tmp_path / name)
    with pytest.raises(data.DataError, match="absent: No such file"):
        data.read_table(tmp_path / "absent")


def test_read_table_of_an_encrypted_archive(data, tmp_path):
    path = tmp_path / "locked.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ml-100k/u.data", "table")
    # Bit 0 of the flags, in the member's header and in the directory: encrypted.
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=r"locked\.zip: .*encrypted"):
        data.read_table(path)


def test_download_falls_back_and_is_cached(data, made_up, monkeypatch, tmp_path):
    def offline(folder):
        raise OSError("no network")

    def wheel(folder):
        (folder / "u.data").write_bytes(made_up)
        return folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(data, "from_grouplens", offline)
    monkeypatch.setattr(data, "from_wheel", wheel)
    first = data.load_ratings()
    monkeypatch.setattr(data, "from_wheel", offline)
    assert np.array_equal(data.load_ratings(), first)
    assert [path.name for path in (tmp_path / "fused_rankloss").iterdir()] == ["ml-100k.tsv"]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    with pytest.raises(data.DataError, match=r"no network.*no network.*--data"):
        data.load_ratings()


def test_split_shares_out_every_rating(data, made_up):
    ratings = data.parse_ratings(made_up, "here")
    split = data.split_ratings(ratings, seed=0)

    rated = torch.zeros(data.USERS, data.ITEMS, dtype=torch.bool)
    relevant = torch.zeros_like(rated)
    rated[ratings[:, 0], ratings[:, 1]] = True
    relevant[ratings[:, 0], ratings[:, 1]] = torch.from_numpy(ratings[:, 2] >= 4)
    assert not (split.train_rated & split.valid_rated).any()
    test_rated = rated & ~split.train_rated & ~split.valid_rated
    assert torch.equal(split.train_relevant, relevant & split.train_rated)
    assert torch.equal(split.valid_relevant, relevant & split.valid_rated)
    assert torch.equal(split.test_relevant, relevant & test_rated)

    tenth = torch.round(0.1 * rated.sum(1).double())
    assert torch.equal(split.valid_rated.sum(1).double(), tenth)
    assert torch.equal(test_rated.sum(1).double(), tenth)


def test_split_depends_on_the_seed_alone(data, made_up):
    ratings = data.parse_ratings(made_up, "here")
    first, again, other = (data.split_ratings(ratings, seed) for seed in (0, 0, 1))
    assert torch.equal(first.test_relevant, again.test_relevant)
    assert not torch.equal(first.test_relevant, other.test_relevant)


# --- The experiment -----------------------------------------------------------------------------


def test_evaluate_by_hand(movielens):
    scores = torch.arange(12.0, 0.0, -1.0).expand(3, 12)
    relevant, hidden = torch.zeros(2, 3, 12, dtype=torch.bool)
    relevant[0, [1, 3]] = relevant[1, 2] = True
    hidden[1, [0, 1]] = hidden[2, 5] = True
    quality = movielens.evaluate(scores, relevant, hidden)
    first = (1 / math.log2(3) + 1 / math.log2(5)) / (1 + 1 / math.log2(3))  # found at 2 and 4
    assert quality.ndcg == pytest.approx((first + 1) / 2)  # the third user does not count
    assert quality.recall == 1.0


def test_evaluate_stops_at_ten(movielens):
    scores = -torch.arange(20.0)[None]
    relevant = torch.zeros(1, 20, dtype=torch.bool)
    relevant[0, [9, 10]] = True
    quality = movielens.evaluate(scores, relevant, torch.zeros_like(relevant))
    assert quality.recall == 0.5
    assert quality.ndcg == pytest.approx((1 / math.log2(11)) / (1 + 1 / math.log2(3)))


def test_sampled_items_are_not_relevant(movielens):
    relevant = torch.ones(2, movielens.ITEMS, dtype=torch.bool)
    relevant[0, [3, 7]] = relevant[1, 5] = False
    users = torch.tensor([0, 1] * 50)
    items = movielens.sample_not_relevant(relevant, users)
    assert set(items[users == 0].tolist()) == {3, 7} and set(items[users == 1].tolist()) == {5}


@pytest.mark.slow
def test_whole_script(movielens, made_up, tmp_path, capsys):
    (tmp_path / "u.data").write_bytes(made_up)
    output = tmp_path / "curves.png"
    arguments = ["--epochs=1", "--dim=8", "--device=cpu", "--quiet"]
    movielens.main([*arguments, f"--data={tmp_path}", f"--output={output}"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("popularity", "BPR", "hinge", "10.7 GB"))
    assert output.read_bytes().startswith(b"\x89PNG")


def run_script(*arguments: str, **kwargs) -> subprocess.Popen:
    command = [sys.executable, "-u", EXAMPLES / "movielens.py", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **kwargs)


def test_bad_data_ends_in_one_line(tmp_path):
    process = run_script(f"--data={tmp_path}", cwd=tmp_path)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert errors == f"movielens: {tmp_path}: holds neither u.data nor ml-100k.inter\n"


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.slow
def test_interrupt_ends_in_one_line(made_up, tmp_path):
    (tmp_path / "u.data").write_bytes(made_up)
    process = run_script(
        f"--data={tmp_path}", "--quiet", "--device=cpu", cwd=tmp_path, stdout=subprocess.PIPE
    )
    process.stdout.readline()  # the training has begun
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "\nmovielens: interrupted\n"
