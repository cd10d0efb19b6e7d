"""Figures from the CSV, for the README."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter  # noqa: E402

from benchmarks.families import family_of  # noqa: E402
from benchmarks.family import FUSED, Provider  # noqa: E402
from benchmarks.pairwise import PAIRWISE  # noqa: E402
from benchmarks.ranking import RANKING  # noqa: E402
from benchmarks.results import Row, latest, path_for  # noqa: E402
from benchmarks.triplet import TRIPLET  # noqa: E402
from benchmarks.triplet.cases import DRAWN_DATA, DRAWN_DIM  # noqa: E402

# One look per provider in all figures; colours that differ in lightness too (Okabe and Ito).
_COLORS = {
    FUSED: "#D55E00",
    "eager": "#0072B2",
    "eager_loop": "#0072B2",
    "padded_eager": "#56B4E9",
    "scattered": "#E69F00",
    "compile": "#009E73",
    "padded_compile": "#009E73",
    "sort_cumsum": "#CC79A7",
    "chunked": "#56B4E9",
    "metric_learning": "#CC79A7",
    "sentence_transformers": "#E69F00",
    "keops": "#332288",
    "numpy_argsort": "#8a8a8a",
    "torch_sort": "#8a8a8a",
    "matmul": "#8a8a8a",
}
_TITLE_INCHES = 0.65
_STYLE = {
    "figure.dpi": 160,
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def draw(rows: Iterable[Row], folder: Path) -> list[Path]:
    """Draws what the newest rows allow. Returns the files."""
    newest = [row for row in latest(rows).values() if row.mode == "full"]
    families = ((PAIRWISE, _draw_lists), (RANKING, _draw_ranking), (TRIPLET, _draw_embeddings))
    with plt.rc_context(_STYLE):
        return [
            path
            for family, figures in families
            for path in figures([row for row in newest if family_of(row.loss) is family], folder)
        ]


def _by_loss(rows: list[Row]) -> list[list[Row]]:
    losses = dict.fromkeys(row.loss for row in rows)
    return [[row for row in rows if row.loss == loss] for loss in losses]


def _draw_lists(rows: list[Row], folder: Path) -> Iterator[Path]:
    for plain in _by_loss([row for row in rows if row.dtype == "fp32"]):
        one_list = [row for row in plain if row.num_lists == 1 and " " not in row.case]
        if len({row.length for row in one_list}) > 2:
            yield _one_list(one_list, folder)
        batches = [row for row in plain if row.num_lists > 1]
        if len({row.case for row in batches}) > 1:
            title = f"{_heading(batches[0])}, batches of lists"
            yield _by_case(batches, title, _describe, folder / f"{_slug(batches)}-batches.png")


def _draw_ranking(rows: list[Row], folder: Path) -> Iterator[Path]:
    """A figure of a loss that has one list at many lengths, and one of all the other cases."""
    others = []
    for plain in _by_loss([row for row in rows if row.dtype == "fp32"]):
        one_list = [row for row in plain if row.num_lists == 1]
        if len({row.length for row in one_list}) > 2:
            yield _one_list(one_list, folder)
            plain = [row for row in plain if row.num_lists > 1]
        others += plain
    if len({row.key for row in others}) > 1:
        name = f"{path_for(others[0].device).stem}-ranking.png"
        note = lambda row: f"{_heading(row)}, {_describe(row)}"  # noqa: E731
        yield _by_case(others, "Learning to rank", note, folder / name)


def _draw_embeddings(rows: list[Row], folder: Path) -> Iterator[Path]:
    for plain in _by_loss(rows):
        plain = [row for row in plain if row.case.endswith(f"x{DRAWN_DIM} {DRAWN_DATA}")]
        plain = [row for row in plain if "+" not in row.case]
        for dtype in ("fp32", "bf16"):
            line = [row for row in plain if row.dtype == dtype]
            if len({row.length for row in line}) > 2:
                yield _embeddings(line, folder)


def _provider(row: Row) -> Provider:
    return family_of(row.loss).provider(row.provider)


def _heading(row: Row) -> str:
    return family_of(row.loss).titles[row.loss]


def _save(figure: plt.Figure, path: Path) -> Path:
    figure.savefig(path, bbox_inches="tight")
    plt.close(figure)
    return path


def _subtitle(rows: list[Row]) -> str:
    last = max(rows, key=lambda row: row.utc)
    threads = f"{last.threads} threads" if last.threads > 1 else "1 thread"
    return f"forward + backward, {last.dtype} · {last.device}, {threads} · torch {last.torch}"


def _title(figure: plt.Figure, text: str, subtitle: str) -> None:
    """Writes both in a band above the axes, whatever the figure's height."""
    height = figure.get_figheight()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - _TITLE_INCHES / height))
    figure.text(0.01, 1 - 0.1 / height, text, va="top", fontsize=14, fontweight="bold")
    figure.text(0.01, 1 - 0.38 / height, subtitle, va="top", fontsize=9.5, color="#555555")


def _one_list(rows: list[Row], folder: Path) -> Path:
    name = f"{_slug(rows)}-one-list.png"
    note = lambda row: f"{row.bytes_per_score:.0f} bytes a score"  # noqa: E731
    title = f"{_heading(rows[0])}, one list"
    return _against_length(rows, title, "scores in the list", note, folder / name)


def _embeddings(rows: list[Row], folder: Path) -> Path:
    name = f"{_slug(rows)}{'' if rows[0].dtype == 'fp32' else '-' + rows[0].dtype}.png"
    note = lambda row: _bytes(row.peak_extra_bytes)  # noqa: E731
    title = f"{_heading(rows[0])}, {DRAWN_DIM} dimensions, {DRAWN_DATA}"
    return _against_length(rows, title, "embeddings in the batch", note, folder / name)


def _against_length(
    rows: list[Row], title: str, unit: str, note: Callable[[Row], str], path: Path
) -> Path:
    """Time and peak memory against the length; ``note`` stands at a point of this package."""
    figure, (time, memory) = plt.subplots(1, 2, figsize=(10, 4.7), layout="constrained")
    _title(figure, title, _subtitle(rows))
    _lines(time, rows, lambda row: row.p50_ms / 1e3)
    time.set_title("Time")
    time.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _seconds(value)))
    measured = [row for row in rows if row.peak_extra_bytes]
    _lines(memory, [r for r in measured if _provider(r).has_loss], lambda r: r.peak_extra_bytes)
    mine = sorted((r for r in measured if r.provider == FUSED), key=lambda row: row.length)
    if len(mine) > 1:  # right of and below a point: the line rises
        row = mine[-2]
        memory.annotate(
            note(row),
            (row.length, row.peak_extra_bytes),
            (8, -12),
            textcoords="offset points",
            color=_COLORS[FUSED],
        )
    memory.set_title("Peak memory beyond the inputs")
    memory.yaxis.set_major_locator(LogLocator(base=10))
    memory.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _bytes(value)))
    for axes in (time, memory):
        axes.set_xlabel(unit)
        axes.yaxis.set_minor_formatter(NullFormatter())
    handles, labels = time.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 5), columnspacing=1.5
    )
    return _save(figure, path)


def _lines(axes: Axes, rows: list[Row], value: Callable[[Row], float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for provider in _COLORS:
        here = sorted((row for row in rows if row.provider == provider), key=lambda r: r.length)
        if not here:
            continue
        yard_stick = not _provider(here[0]).has_loss
        axes.plot(
            [row.length for row in here],
            [value(row) for row in here],
            label=_provider(here[0]).label,
            color=_COLORS[provider],
            linestyle=(0, (4, 2)) if yard_stick else "-",
            marker=None if yard_stick else "o",
            markersize=5,
            linewidth=2.6 if provider == FUSED else 1.6,
            zorder=3 if provider == FUSED else 2,
        )


def _by_case(rows: list[Row], title: str, note: Callable[[Row], str], path: Path) -> Path:
    """Time of each case, which ``note`` describes: a line per case, a dot per provider."""
    cases = {row.key: row for row in rows}
    figure, axes = plt.subplots(figsize=(9.5, 1.9 + 0.36 * len(cases)), layout="constrained")
    _title(figure, title, _subtitle(rows))
    axes.set_xscale("log")
    places = {case: place for place, case in enumerate(cases)}
    for provider in _COLORS:
        here = [row for row in rows if row.provider == provider]
        if here:
            axes.scatter(
                [row.p50_ms / 1e3 for row in here],
                [places[row.key] for row in here],
                s=90 if provider == FUSED else 45,
                marker="o" if _provider(here[0]).has_loss else "|",
                color=_COLORS[provider],
                linewidth=1.8 if not _provider(here[0]).has_loss else 0,
                label=_provider(here[0]).label,
                zorder=3,
            )
    for case, place in places.items():
        here = {row.provider: row.p50_ms / 1e3 for row in rows if row.key == case}
        times = [here[name] for name in _COLORS if name in here]
        axes.plot([min(times), max(times)], [place, place], color="#cfcfcf", linewidth=1, zorder=1)
        ratios = sorted(
            row.relative_to_fused
            for row in rows
            if row.key == case
            and row.provider != FUSED
            and _provider(row).checked
            and row.relative_to_fused is not None
        )
        if ratios:
            extremes = dict.fromkeys(_two_digits(ratio) for ratio in (ratios[0], ratios[-1]))
            faster = f"{' to '.join(extremes)} faster"
            axes.text(1.02, place, faster, transform=axes.get_yaxis_transform(), va="center")
    axes.set_yticks(range(len(cases)), [note(row) for row in cases.values()])
    axes.set_ylim(len(cases) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _seconds(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("time")
    figure.legend(loc="outside lower center", ncols=3, columnspacing=1.5)
    return _save(figure, path)


def _describe(row: Row) -> str:
    """4,096 lists of 128, 5 grades; one list of 64"""
    about = "about " if "~" in row.case else ""
    data = row.case.partition(" ")[2]
    lists = "one list" if row.num_lists == 1 else f"{row.num_lists:,} lists"
    return f"{lists} of {about}{row.length:,}{', ' if data else ''}{data}"


def _slug(rows: list[Row]) -> str:
    return f"{path_for(rows[0].device).stem}-{rows[0].loss.replace('_', '-')}"


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    for size, unit in units:
        if value >= size * 0.9995:
            return f"{value / size:.3g} {unit}"
    return f"{value:.3g}"


def _seconds(value: float) -> str:
    return _scaled(value, ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")))


def _bytes(value: float) -> str:
    return _scaled(value, ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")))


def _two_digits(ratio: float) -> str:
    """3.4x, 27x, 130x"""
    return f"{float(f'{ratio:.2g}'):g}x"
