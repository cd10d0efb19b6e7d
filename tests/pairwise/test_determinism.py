"""Bitwise equal whatever happens around the call: repeats, threads, neighbours, items' order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from support.batches import Batch, Outcome, evaluate, flat, one_list, same_bits
from support.cases import LARGE, LOSSES, MEDIUM, SMALL, Case, by_name, generator_for
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

CASES = by_name(SMALL + MEDIUM + LARGE)
every_loss = pytest.mark.parametrize("loss", LOSSES)


def cases(*names: str):
    return pytest.mark.parametrize("case", [CASES[n] for n in names], ids=lambda case: case.name)


@cases("n1025", "one_long", "weighted_long", "many_short")
@every_loss
def test_repeats(case: Case, loss: str, device: str) -> None:
    call = flat(case.batch(torch.float32).to(device))
    first = evaluate(LOSSES[loss], call)
    assert all(evaluate(LOSSES[loss], call).same_bits(first) for _ in range(250))


@cases("n100001", "two_long", "n200000_ties")
@every_loss
def test_repeats_of_long_lists(case: Case, loss: str, device: str) -> None:
    call = flat(case.batch(torch.float32).to(device))
    first = evaluate(LOSSES[loss], call)
    assert all(evaluate(LOSSES[loss], call).same_bits(first) for _ in range(10))


@cases("n1025", "one_long", "weighted_long", "many_short", "n32769", "two_long", "n150000_rare")
@every_loss
def test_thread_counts(case: Case, loss: str, threads) -> None:
    """Also more threads than there are cores."""
    outcomes: list[Outcome] = []
    call = flat(case.batch(torch.float32))
    for count in (1, 2, 3, 8):
        threads(count)
        assert torch.get_num_threads() == count
        outcomes.append(evaluate(LOSSES[loss], call, reduction="list_mean"))
    assert all(outcome.same_bits(outcomes[0]) for outcome in outcomes)


@cases("n1025", "weighted_long", "two_long")
@every_loss
def test_deterministic_algorithms(case: Case, loss: str, device: str) -> None:
    """Nothing to complain about, and memory that torch fills with NaN is never read."""
    call = flat(case.batch(torch.float32).to(device))
    plain = evaluate(LOSSES[loss], call)
    torch.use_deterministic_algorithms(True)
    try:
        strict = evaluate(LOSSES[loss], call)
    finally:
        torch.use_deterministic_algorithms(False)
    assert strict.same_bits(plain)


@every_loss
def test_two_python_threads_at_once(loss: str, device: str) -> None:
    calls = [
        flat(CASES[name].batch(torch.float32).to(device))
        for name in ("n1025", "one_long", "n32769", "many_short")
    ]
    alone = [evaluate(LOSSES[loss], call) for call in calls]

    def work(start: int) -> bool:
        order = [(start + step) % len(calls) for step in range(24)]
        return all(evaluate(LOSSES[loss], calls[n]).same_bits(alone[n]) for n in order)

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(work, (0, 2)))


@cases("ragged", "growing", "one_long", "weighted_long")
@every_loss
def test_neighbours_do_not_matter(case: Case, loss: str, device: str) -> None:
    """A list gives the same bits alone, and in a batch in any place."""
    batch = case.batch(torch.float32)
    order = torch.randperm(len(batch.sizes), generator=generator_for(case.name)).tolist()
    lists = batch.lists()
    moved = Batch.join([lists[number] for number in order])
    here = evaluate(LOSSES[loss], flat(batch.to(device)), reduction="none")
    there = evaluate(LOSSES[loss], flat(moved.to(device)), reduction="none")
    grads, moved_grads = batch.split(here.grad), moved.split(there.grad)
    for place, number in enumerate(order):
        assert same_bits(there.loss[place], here.loss[number])
        assert same_bits(moved_grads[place], grads[number])


@cases(
    "n33", "boundary_grades", "n513", "n1025", "n2047", "n4096_distinct", "n32769", "n200000_ties"
)
@every_loss
def test_order_of_items(case: Case, loss: str, device: str) -> None:
    """Gradients move with their items: exactly for counts, within the error budget for sums."""
    batch = case.batch(torch.float32)
    order = torch.randperm(len(batch.scores), generator=generator_for(case.name))
    here = evaluate(LOSSES[loss], one_list(batch.to(device)))
    there = evaluate(LOSSES[loss], one_list(batch.take(order).to(device)))
    if loss == "hinge":
        assert same_bits(there.grad, here.grad[order.to(device)])
    wanted = exact(batch, loss)
    for got, place in ((here, torch.arange(len(order))), (there, order)):
        floor = grad_floor(wanted, torch.float32)
        check("loss", got.loss, wanted.loss, loss_floor(wanted, torch.float32), case=case)
        check("grad", got.grad, wanted.grad[place], floor[place], case=case)
