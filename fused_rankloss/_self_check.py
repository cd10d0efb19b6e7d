"""Compares every loss with its reference on the devices at hand, in seconds.

This is first aid, not the proof: the proof is the tests. Deviations are the largest ones of the
loss and of each gradient, and must not exceed

    2 |reference - exact| + floor

``exact`` is the reference in double precision on the very same numbers, ``reference`` the one in
the dtype under test. The floor is what the arithmetic of the kernels allows:

- the result is rounded to its dtype, and before that to the dtype of the loss;
- losses with exponentials are off by up to e (2 + |x|) of each term, where x is the largest
  argument of an exponential and e = 2^-23, or 2^-51 for float64 (csrc/losses/logistic_series.h).
  A gradient adds terms of both signs, whose sizes sum to at most ``SPREAD`` times the largest
  gradient; the tests hold the inputs here to that.
- products of scores' gradients and rows sum up to ``roundings`` terms. Exponentials of catalogue
  losses are in it with 2 (6 + |x|) roundings for |x| <= 36 (tests/support/catalogue.py).

For float64 the reference has no exact one above it. Its error is the one of float32 times 2^-29,
the ratio of the two precisions, and is allowed once more for ``exact`` itself.
"""

from __future__ import annotations

import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import fused_rankloss

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
SPREAD = 8.0

# ---- What is installed ---------------------------------------------------------------------------


def cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line[:10] == "model name"]
    except OSError:
        names = []
    return names[0] if names else platform.machine()


def why_no_cuda() -> str | None:
    reason = fused_rankloss.build_info()["cuda_unavailable_reason"]
    if reason is None and not torch.cuda.is_available():
        reason = "the kernels are loaded, but torch.cuda.is_available() is False"
    return reason


def usable_devices() -> list[torch.device]:
    devices = [torch.device("cpu")]
    if why_no_cuda() is None:
        devices += [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    return devices


def print_installation() -> None:
    info = fused_rankloss.build_info()
    isa, threads = info["cpu_isa"], torch.get_num_threads()
    rows = {
        "fused_rankloss": f"{info.pop('version')} in {os.path.dirname(fused_rankloss.__file__)}",
        "python": f"{platform.python_version()} on {platform.platform()}",
        "torch": f"{info.pop('torch')}, its CUDA: {torch.version.cuda or 'none'}",
        **{name: value for name, value in info.items() if name != "cuda_unavailable_reason"},
        "device cpu": f"{cpu_name()}, {threads} threads, {isa} kernels",
    }
    reason = why_no_cuda()
    if reason is not None:
        rows["device cuda"] = f"not usable: {reason}"
    else:
        for index in range(torch.cuda.device_count()):
            major, minor = torch.cuda.get_device_capability(index)
            name = torch.cuda.get_device_name(index)
            rows[f"device cuda:{index}"] = f"{name}, compute capability {major}.{minor}"
    for name, value in rows.items():
        print(f"{name:20} {value}")


# ---- Inputs --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One call: ``leaves`` get gradients and the dtype under test, ``others`` are as they are."""

    loss: str
    leaves: list[Tensor]
    others: list[Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    exponential: bool = False
    roundings: int = 0  # in the dtype of the loss, of sums beside those of exponentials


def cases() -> list[Case]:
    """The same numbers on every machine: they are drawn on the CPU."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([0, 1, 5, 64, 300, 1500])  # kernels differ for short and long lists
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    scores = 2 * torch.randn(int(lengths.sum()), generator=generator)
    labels = torch.randint(0, 5, scores.shape, generator=generator)
    ragged = {"offsets": offsets, "reduction": "sum"}

    rows = [torch.randn(200, 48, generator=generator) for _ in range(3)]
    classes = torch.arange(96) % 12
    # Small integers: their squared distances are integers too, so there are ties, and with a
    # margin of 1/2 no triplet is so near the boundary that rounding decides whether it counts.
    lattice = torch.randint(-3, 4, (96, 24), generator=generator).float()
    points = torch.randn(96, 24, generator=generator)

    def lists(loss: str, exponential: bool = True, **options: Any) -> Case:
        return Case(loss, [scores], [labels], {**ragged, **options}, exponential)

    def batch(mining: str, embeddings: Tensor, **options: Any) -> Case:
        return Case(f"batch_{mining}_triplet_loss", [embeddings], [classes], options)

    towers = [lattice[:, :3], torch.randint(-2, 3, (700, 3), generator=generator).float()]
    positives = torch.randint(-1, 700, (96, 5), generator=generator)

    def catalogue(loss: str, **options: Any) -> Case:
        # Sums of integers, which are exact, but for exponentials.
        roundings = 84 + 700 + 96 if loss in ("logistic", "softmax") else 0
        options = {"reduction": "sum", **options}
        return Case(f"catalogue_{loss}_loss", towers, [positives], options, roundings=roundings)

    exact = {"distance": "sqeuclidean", "margin": 0.5}
    return [
        lists("pairwise_hinge_loss", False),
        lists("pairwise_squared_hinge_loss", False),
        lists("pairwise_logistic_loss"),
        lists("lambda_loss"),
        lists("lambda_loss", k=10),
        lists("lambda_loss", scheme="ndcg_loss2++"),
        lists("listnet_loss"),
        lists("list_mle_loss"),
        lists("approx_ndcg_loss"),
        Case("triplet_loss", rows, []),
        Case("triplet_loss", rows, [], {"distance": "euclidean"}),
        batch("hard", points),
        batch("hard", lattice, **exact),
        batch("semi_hard", points),
        batch("semi_hard", lattice, **exact),
        batch("all", lattice, **exact),
        catalogue("hinge"),
        catalogue("squared_hinge"),
        catalogue("logistic"),
        catalogue("softmax"),
        catalogue("warp", rank_weights="uniform"),
    ]


# ---- The comparison ------------------------------------------------------------------------------


def outcome(case: Case, device: torch.device, dtype: torch.dtype, wide: bool, impl: str):
    """The loss and the gradients, in double precision on the CPU.

    ``wide``: in double precision, on the numbers as they are in ``dtype``.
    """
    compute = torch.float64 if wide else dtype
    leaves = [leaf.to(device, dtype).to(compute).requires_grad_() for leaf in case.leaves]
    others = [other.to(device) for other in case.others]
    options = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in case.options.items()
    }
    function: Callable[..., Tensor] = getattr(fused_rankloss, case.loss)
    loss = function(*leaves, *others, **options, impl=impl)
    gradients = torch.autograd.grad(loss, leaves)
    return [result.detach().to("cpu", torch.float64) for result in (loss, *gradients)]


def loss_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def floor(case: Case, exact: Tensor, dtype: torch.dtype, is_loss: bool) -> float:
    size = exact.abs().max().item()
    stored = [loss_dtype(dtype)] if is_loss else [loss_dtype(dtype), dtype]
    total = sum(torch.finfo(kind).eps / 2 * size + torch.finfo(kind).tiny for kind in stored)
    total += case.roundings * torch.finfo(loss_dtype(dtype)).eps / 2 * size
    if case.exponential:
        (scores,) = case.leaves
        largest = (scores.max() - scores.min()).item()
        unit = 2.0**-51 if dtype == torch.float64 else 2.0**-23
        total += unit * (2 + largest) * size * (1 if is_loss else SPREAD)
    return total


def compare(case: Case, device: torch.device, dtype: torch.dtype) -> list[tuple[float, float]]:
    """Deviation and tolerance of the loss and of each gradient, relative to the largest number."""
    cpu = torch.device("cpu")  # the reference is the same on every device
    fused = outcome(case, device, dtype, False, "auto")
    exact = outcome(case, cpu, dtype, True, "reference")
    if dtype == torch.float64:
        plain = outcome(case, cpu, torch.float32, False, "reference")
        times = 3 * torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps
    else:
        plain = outcome(case, cpu, dtype, False, "reference")
        times = 2.0
    found = []
    for place, (got, wanted, other) in enumerate(zip(fused, exact, plain, strict=True)):
        deviation = (got - wanted).abs().max().item()
        error = (other - wanted).abs().max().item()
        tolerance = times * error + floor(case, wanted, dtype, place == 0)
        size = wanted.abs().max().item()
        found.append((deviation / size, tolerance / size))
    return found


def run(devices: list[torch.device]) -> int:
    """Prints a line for each loss, device and dtype. Returns how many lines failed."""
    print(f"\n{'self-check':29} {'device':8} {'dtype':10} {'deviation / tolerance':>21}")
    begin = time.perf_counter()
    by_loss: dict[str, list[Case]] = {}
    for case in cases():
        by_loss.setdefault(case.loss, []).append(case)
    failed = []
    for device in devices:
        for loss, of_loss in by_loss.items():
            for dtype in DTYPES:
                line = f"{loss:29} {device!s:8} {str(dtype).removeprefix('torch.'):10}"
                try:
                    found = [pair for case in of_loss for pair in compare(case, device, dtype)]
                except Exception as error:  # the other losses are still worth a look
                    print(f"{line} FAILED: {type(error).__name__}: {error}")
                    failed.append(loss)
                    continue
                # A NaN is in no order: as a key it is infinite.
                worst = max(found, key=lambda pair: _badness(*pair))
                passed = _badness(*worst) <= 1
                print(f"{line} {worst[0]:9.1e} / {worst[1]:9.1e} {'ok' if passed else 'FAILED'}")
                if not passed:
                    failed.append(loss)
                sys.stdout.flush()
    seconds = time.perf_counter() - begin
    if failed:
        print(f"\nFAILED in {seconds:.1f} s: {', '.join(dict.fromkeys(failed))}")
        print("Please report this with all of the output above.")
    else:
        print(f"\nAll losses agree with their references ({seconds:.1f} s).")
    return len(failed)


def _badness(deviation: float, tolerance: float) -> float:
    return math.inf if math.isnan(deviation) else deviation / tolerance
