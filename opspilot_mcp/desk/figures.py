"""Figures of an evaluation: accuracy, calibration, risk at a coverage, what went auto, and the drawings of them."""

import html
from collections.abc import Sequence
from typing import NamedTuple

_BINS = 10
_WIDE, _HIGH, _EDGE = 360, 260, 40

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Triage evaluation</title><style>
:root{{color-scheme:light dark;--ink:#1c2530;--dim:#667;--line:#0b6bcb;--warn:#b3261e;--paper:#fff}}
@media(prefers-color-scheme:dark){{:root{{--ink:#e6e9ee;--dim:#9aa4b2;--line:#6cb2ff;--warn:#ff8a80;--paper:#14181d}}}}
body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:var(--ink);background:var(--paper)}}
pre{{white-space:pre-wrap}} figure{{display:inline-block;margin:0 1rem 1rem 0}} svg{{max-width:100%;height:auto}}
text{{font-size:11px;fill:var(--dim)}} .axis{{stroke:var(--dim)}} .even{{stroke:var(--dim);stroke-dasharray:4 4}}
.curve{{stroke:var(--line);fill:none;stroke-width:2}} .dot{{fill:var(--line)}} .limit{{stroke:var(--warn)}}
</style></head><body><h1>Triage evaluation</h1><pre>{summary}</pre>
<figure>{reliability}<figcaption>Reliability: a dot on the dashed line keeps its word; its size is its tickets.
</figcaption></figure><figure>{risk}<figcaption>Error among the surest share of tickets; red: the error asked for.
</figcaption></figure>
</body></html>
"""


class Judged(NamedTuple):
    """One ticket's score and whether its predicted category was right, with where it went."""

    truth: str
    predicted: str | None
    score: float
    routed: str

    @property
    def wrong(self) -> bool:
        """Whether the prediction missed."""
        return self.truth != self.predicted


class Figures(NamedTuple):
    """What a list of judged tickets shows; `auto_error` is None where nothing went auto."""

    tickets: int
    accuracy: float
    macro_f1: float
    risk_80: float
    calibration_error: float
    auto_share: float
    auto_error: float | None


def risk_curve(judged: Sequence[Judged]) -> list[float]:
    """Return at k - 1 the error among the k highest scores; equal scores share their errors evenly."""
    ordered = sorted(judged, key=lambda ticket: -ticket.score)
    curve: list[float] = []
    errors, start = 0.0, 0
    while start < len(ordered):
        end = start
        while end < len(ordered) and ordered[end].score == ordered[start].score:
            end += 1
        mean = sum(ticket.wrong for ticket in ordered[start:end]) / (end - start)
        curve.extend((errors + mean * (k - start)) / k for k in range(start + 1, end + 1))
        errors += mean * (end - start)
        start = end
    return curve


def reliability(judged: Sequence[Judged]) -> list[tuple[int, float, float]]:
    """Return tickets, mean score and share right for each of ten bins of equal width that is not empty."""
    bins: list[list[Judged]] = [[] for _ in range(_BINS)]
    for ticket in judged:
        bins[min(_BINS - 1, int(ticket.score * _BINS))].append(ticket)
    return [
        (len(held), sum(t.score for t in held) / len(held), sum(not t.wrong for t in held) / len(held))
        for held in bins
        if held
    ]


def _macro_f1(judged: Sequence[Judged]) -> float:
    labels = sorted({ticket.truth for ticket in judged})
    total = 0.0
    for label in labels:
        hit = sum(t.truth == label == t.predicted for t in judged)
        missed = sum((t.truth == label) != (t.predicted == label) for t in judged)
        total += 2 * hit / (2 * hit + missed) if hit else 0.0
    return total / len(labels)


def measure(judged: Sequence[Judged]) -> Figures:
    """Return the figures of at least one judged ticket."""
    curve = risk_curve(judged)
    auto = [ticket.wrong for ticket in judged if ticket.routed == "auto"]
    gaps = sum(count * abs(score - right) for count, score, right in reliability(judged))
    return Figures(
        tickets=len(judged),
        accuracy=1 - curve[-1],
        macro_f1=_macro_f1(judged),
        risk_80=curve[max(1, int(0.8 * len(curve) + 0.5)) - 1],
        calibration_error=gaps / len(judged),
        auto_share=len(auto) / len(judged),
        auto_error=sum(auto) / len(auto) if auto else None,
    )


def table(parts: Sequence[tuple[str, Figures]]) -> str:
    """Return the figures as aligned text, one column a part."""
    lines = [f"{'':18}" + "".join(f"{name:>13}" for name, _ in parts)]
    for key in Figures._fields:
        values = [getattr(figures, key) for _, figures in parts]
        cells = ["-" if v is None else str(v) if isinstance(v, int) else f"{v:.4f}" for v in values]
        lines.append(f"{key:18}" + "".join(f"{cell:>13}" for cell in cells))
    return "\n".join(lines)


def _x(share: float) -> float:
    return round(_EDGE + share * (_WIDE - 2 * _EDGE), 1)


def _y(share: float) -> float:
    return round(_HIGH - _EDGE - share * (_HIGH - 2 * _EDGE), 1)


def _frame(inside: str, *, title: str, across: str, up: str, top: float) -> str:
    """Return an SVG with axes from 0 to 1 across and 0 to `top` up."""
    ticks = "".join(
        f'<text x="{_x(t)}" y="{_HIGH - _EDGE + 16}" text-anchor="middle">{t:g}</text>'
        f'<text x="{_EDGE - 6}" y="{_y(t) + 4}" text-anchor="end">{t * top:.2g}</text>'
        for t in (0, 0.25, 0.5, 0.75, 1)
    )
    return (
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" width="{_WIDE}" height="{_HIGH}" role="img" aria-label="{title}">'
        f'<path class="axis" fill="none" d="M{_x(0)} {_y(1)}V{_y(0)}H{_x(1)}"/>{ticks}{inside}'
        f'<text x="{_x(0.5)}" y="{_HIGH - 6}" text-anchor="middle">{across}</text>'
        f'<text x="{_x(0)}" y="{_EDGE - 14}">{up}</text></svg>'
    )


def draw_reliability(judged: Sequence[Judged]) -> str:
    """Return the reliability diagram as SVG: share right over mean score, a dot a bin."""
    dots = "".join(
        f'<circle class="dot" cx="{_x(score)}" cy="{_y(right)}" r="{2 + 8 * (count / len(judged)) ** 0.5:.1f}">'
        f"<title>{count} tickets: score {score:.2f}, right {right:.2f}</title></circle>"
        for count, score, right in reliability(judged)
    )
    even = f'<path class="even" d="M{_x(0)} {_y(0)}L{_x(1)} {_y(1)}"/>'
    return _frame(even + dots, title="Reliability diagram", across="score", up="share right", top=1.0)


def draw_risk(judged: Sequence[Judged], alpha: float) -> str:
    """Return the risk-coverage curve as SVG, with the error asked for as a line."""
    curve = risk_curve(judged)
    top = max(0.05, alpha * 1.5, *curve)
    every = max(1, len(curve) // 200)
    points = " ".join(f"{_x((k + 1) / len(curve))},{_y(curve[k] / top)}" for k in range(0, len(curve), every))
    limit = f'<path class="limit" d="M{_x(0)} {_y(alpha / top)}H{_x(1)}"/>'
    line = f'<polyline class="curve" points="{points}"/>'
    return _frame(
        limit + line, title="Risk-coverage curve", across="share of tickets, surest first", up="error", top=top
    )


def page(judged: Sequence[Judged], *, summary: str, alpha: float) -> str:
    """Return one HTML page, readable without network or script."""
    return _PAGE.format(
        summary=html.escape(summary), reliability=draw_reliability(judged), risk=draw_risk(judged, alpha)
    )
