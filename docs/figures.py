"""Draws the figures of how_it_works.md: python docs/figures.py

SVG as text, so that building the documentation needs no plotting library.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).with_name("figures")
BLUE, ORANGE, GREY, INK = "#1f6fb4", "#d9661f", "#9a9a9a", "#222222"


def text(x: float, y: float, words: str, color: str = INK, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{color}" text-anchor="{anchor}">{words}</text>'


def line(x1: float, y1: float, x2: float, y2: float, color: str, more: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="2" {more}/>'


def dot(x: float, y: float, color: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="{color}"/>'


def svg(width: int, height: int, title: str, parts: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="15" role="img">'
    )
    back = f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{title}</title>", back, *parts, "</svg>", ""])


def counts() -> str:
    """Two sorted classes merged once: the counts are the gradient."""
    margin, positives, negatives = 1.0, [0.5, 1.8, 2.6], [-0.9, 0.2, 1.1, 2.0]
    thresholds = [score - margin for score in positives]

    def x(score: float) -> float:
        return 130 + 160 * (score + 1.1)

    parts = [text(20, 48, "negatives sⱼ", ORANGE, "start")]
    parts += [text(20, 98, "sᵢ − margin", BLUE, "start")]
    parts += [line(130, 70, 660, 70, GREY)]
    for score in negatives:
        parts += [dot(x(score), 43, ORANGE), line(x(score), 52, x(score), 70, ORANGE)]
    for threshold in thresholds:
        parts += [dot(x(threshold), 93, BLUE), line(x(threshold), 70, x(threshold), 84, BLUE)]
    parts += [text(20, 138, "count", INK, "start")]
    for threshold in thresholds:
        above = sum(score > threshold for score in negatives)
        parts += [text(x(threshold), 138, f"−{above}", BLUE)]
    for score in negatives:
        below = sum(threshold < score for threshold in thresholds)
        parts += [text(x(score), 138, f"+{below}", ORANGE)]
    points = sorted(thresholds + negatives)
    parts += [text(20, 178, "gap weight", INK, "start")]
    for left, right in zip(points, points[1:], strict=False):
        below = sum(threshold <= left for threshold in thresholds)
        above = sum(score >= right for score in negatives)
        parts += [text((x(left) + x(right)) / 2, 178, f"{below}·{above}", GREY)]
    return svg(680, 200, "Counts from one merge of two sorted classes", parts)


def certified() -> str:
    """A fast search with an error bound, and which candidates it leaves."""
    found = [(2.6, 0.35), (1.15, 0.3), (3.4, 0.4), (1.45, 0.35), (2.1, 0.3), (4.2, 0.45)]
    exact = [2.45, 1.32, 3.6, 1.28, 2.2, 4.0]
    cut = min(value + bound for value, bound in found)

    def x(distance: float) -> float:
        return 40 + 130 * distance

    parts = [line(x(cut), 20, x(cut), 225, GREY, 'stroke-dasharray="6 5"')]
    parts += [text(x(cut) + 8, 32, "smallest upper end", GREY, "start")]
    for place, ((value, bound), true) in enumerate(zip(found, exact, strict=True)):
        y = 55 + 30 * place
        color = BLUE if value - bound <= cut else GREY
        parts += [line(x(value - bound), y, x(value + bound), y, color)]
        for end in (value - bound, value + bound):
            parts += [line(x(end), y - 6, x(end), y + 6, color)]
        if color == BLUE:
            parts += [dot(x(true), y, ORANGE)]
    parts += [line(40, 240, 660, 240, INK), text(650, 262, "distance", INK, "end")]
    parts += [text(40, 262, "blue: compared again, exactly (orange)", BLUE, "start")]
    return svg(680, 275, "Candidates within the error bound are compared again", parts)


FIGURES = {"counts.svg": counts, "certified.svg": certified}

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        (FOLDER / name).write_text(draw(), encoding="utf-8")
