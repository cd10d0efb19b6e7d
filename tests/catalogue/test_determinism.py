"""Neither blocks nor threads change a result."""

from __future__ import annotations

import pytest
import torch

from support.catalogue import LOSSES, VARIANT_IDS, VARIANTS, batch_for, evaluate

EXACT = ("hinge", "squared_hinge")


@pytest.mark.parametrize(("loss", "options"), VARIANTS, ids=VARIANT_IDS)
def test_blocks(loss: str, options: dict) -> None:
    """Of exact scores, each query's sum has the same bits; sums of integers over blocks, too."""
    batch = batch_for("blocks")
    row = 4 * len(batch.items)
    whole = evaluate(LOSSES[loss], batch, reduction="none", **options)
    for rows in (1, 2, 4, 6):
        got = evaluate(LOSSES[loss], batch, reduction="none", workspace=rows * row + 3, **options)
        assert torch.equal(got.loss, whole.loss)
        if loss in EXACT:
            assert got.same_bits(whole)


@pytest.mark.parametrize(("loss", "options"), VARIANTS, ids=VARIANT_IDS)
def test_threads(loss: str, options: dict) -> None:
    batch = batch_for("threads")
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(evaluate(LOSSES[loss], batch, reduction="none", **options))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0].loss, results[1].loss)
    if loss in EXACT:
        assert results[0].same_bits(results[1])


def test_workspace_of_less_than_a_row() -> None:
    batch = batch_for("workspace")
    row = 4 * len(batch.items)
    with pytest.raises(ValueError) as raised:
        evaluate(LOSSES["warp"], batch, workspace=row - 1)
    assert str(raised.value) == (
        f"catalogue_warp_loss: expected a workspace of at least {row} bytes, the scores of one "
        f"query, got {row - 1}"
    )
