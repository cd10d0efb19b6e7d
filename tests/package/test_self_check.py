"""``python -m fused_rankloss``: what it prints, what it finds, and its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import fused_rankloss
from fused_rankloss import __main__ as program
from fused_rankloss import _self_benchmark, _self_check
from support.batches import Batch
from support.ranking import Ranking, listwise, logistic, weighted

CPU = torch.device("cpu")


def test_a_good_installation_passes(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "fused_rankloss"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stderr == ""
    for said in (fused_rankloss.__version__, torch.__version__, "cpu_isa", "compiler"):
        assert said in ran.stdout
    losses = [name for name in fused_rankloss.__all__ if name.endswith("_loss")]
    for loss in losses:
        assert f"\n{loss} " in ran.stdout, f"{loss} is not checked"
    assert "FAILED" not in ran.stdout


def test_help_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["--help"])
    assert ended.value.code == 0
    assert "bug report" in capsys.readouterr().out


@pytest.fixture
def one_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check of the hinge alone, on the CPU."""
    hinge = [case for case in _self_check.cases() if case.loss == "pairwise_hinge_loss"]
    monkeypatch.setattr(_self_check, "cases", lambda: hinge)
    monkeypatch.setattr(_self_check, "usable_devices", lambda: [CPU])


class SlightlyWrong(torch.autograd.Function):
    """The right loss, and a gradient that is 1e-5 too large."""

    @staticmethod
    def forward(ctx, loss):
        return loss.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * (1 + 1e-5)


def raising(loss):
    raise RuntimeError("no kernel image")


@pytest.mark.parametrize("change", [SlightlyWrong.apply, lambda loss: loss * torch.nan, raising])
def test_a_wrong_result_is_named(one_loss, monkeypatch, capsys, change) -> None:
    right = fused_rankloss.pairwise_hinge_loss

    def planted(*tensors, impl="auto", **options):
        loss = right(*tensors, impl=impl, **options)
        return loss if impl == "reference" else change(loss)

    monkeypatch.setattr(fused_rankloss, "pairwise_hinge_loss", planted)
    assert program.main([]) == 1
    out = capsys.readouterr().out
    assert "FAILED" in out
    assert out.splitlines()[-2].endswith(": pairwise_hinge_loss")


def test_it_says_why_there_is_no_cuda(one_loss, capsys, monkeypatch) -> None:
    info = fused_rankloss.build_info()
    info.update(cuda_loaded=False, cuda_unavailable_reason="it was built for the CPU only")
    monkeypatch.setattr(fused_rankloss, "build_info", lambda: dict(info))
    assert program.main([]) == 0
    assert "not usable: it was built for the CPU only" in capsys.readouterr().out


@pytest.mark.gpu
def test_it_runs_on_every_gpu() -> None:
    assert len(_self_check.usable_devices()) == 1 + torch.cuda.device_count()
    assert program.main([]) == 0


RANKINGS = {
    "pairwise_logistic_loss": logistic,
    "lambda_loss": weighted,
    "listnet_loss": lambda: listwise("listnet"),
    "list_mle_loss": lambda: listwise("list_mle"),
    "approx_ndcg_loss": lambda: listwise("approx_ndcg"),
}
EXPONENTIAL = [case for case in _self_check.cases() if case.exponential]


@pytest.mark.parametrize("case", EXPONENTIAL, ids=lambda case: case.loss)
def test_the_spread_holds_for_the_inputs(case: _self_check.Case) -> None:
    """The sizes of the terms, as the tests' oracle adds them up."""
    (scores,), (labels,) = case.leaves, case.others
    options = {
        name: value for name, value in case.options.items() if name not in ("offsets", "reduction")
    }
    make = RANKINGS[case.loss]
    if case.loss == "lambda_loss":
        ranking: Ranking = make(options.pop("scheme", "lambdarank"), **options)
    else:
        ranking = make(**options)
    sizes = tuple(case.options["offsets"].diff().tolist())
    exact = ranking.exact(Batch(scores.double(), labels, sizes), reduction="sum")
    largest = 2 + (scores.max() - scores.min()).item()
    assert exact.loss_terms.abs().max() <= largest * exact.loss.abs().max()
    assert exact.grad_terms.max() <= largest * _self_check.SPREAD * exact.grad.abs().max()


def test_the_benchmark_prints_a_table(monkeypatch, capsys) -> None:
    monkeypatch.setattr(_self_benchmark, "SECONDS", 0.0)
    _self_benchmark.run([CPU])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 + len(_self_benchmark.cases(CPU))
    assert all(line.endswith("x") for line in lines[3:])


@pytest.mark.parametrize("case", _self_benchmark.cases(CPU), ids=lambda case: case.name)
def test_the_benchmark_compares_equals(case: _self_benchmark.Case) -> None:
    torch.testing.assert_close(case.fused(case.leaf), case.eager(case.leaf), rtol=1e-4, atol=0.0)


def test_the_bug_report_asks_for_its_output() -> None:
    template = Path(__file__).parents[2] / ".github" / "ISSUE_TEMPLATE" / "bug_report.yml"
    assert "python -m fused_rankloss" in template.read_text(encoding="utf-8")
