"""The mutants of mutants.py can be planted: code that changes does not leave them behind."""

from __future__ import annotations

from collections import Counter

from cuda_host.host_build import CSRC, HERE
from cuda_host.mutants import HOSTS, MUTANTS, includes


def test_names_tell_mutants_apart() -> None:
    assert [name for name, times in Counter(m.name for m in MUTANTS).items() if times > 1] == []


def test_every_text_is_there_once() -> None:
    times = {m.name: (CSRC / "cuda" / m.file).read_text().count(m.old) for m in MUTANTS}
    assert {name: count for name, count in times.items() if count != 1} == {}


def test_every_file_is_run_by_a_launcher() -> None:
    found: set[str] = set()
    for host in HOSTS:
        includes((HERE / host).read_text(), CSRC, found)
    assert {m.file for m in MUTANTS} - found == set()
