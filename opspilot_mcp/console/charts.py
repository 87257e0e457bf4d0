"""Where bars and dots stand: numbers for the SVG the templates draw. No scripts, no styles in the page."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from opspilot_mcp.aiops.timeline import Member

WIDTH = 420
_LABEL = 150
_NUMBER = 76
_STEP = 28
_TIME_WIDTH = 840
_TIME_HEIGHT = 100
_STORM_WIDTH = 660
_STORM_LABEL = 250
_SECONDS_SHOWN_MS = 3_000  # the axis tells seconds: three labels need as many


class Bar(NamedTuple):
    """One horizontal bar; `before` is the width of last period's, None where there is none."""

    label: str
    value: int
    y: int
    x: int
    width: float
    before: float | None
    previous: int | None


class Bars(NamedTuple):
    """A bar chart in a box of `width` by `height`."""

    bars: list[Bar]
    width: int
    height: int


def bars(counts: Mapping[str, int], previous: Mapping[str, int] | None = None) -> Bars:
    """Return a bar for each count, in the order given, to one scale."""
    before = previous or {}
    most = max([1, *counts.values(), *before.values()])
    scale = (WIDTH - _LABEL - _NUMBER) / most
    drawn = [
        Bar(
            label,
            value,
            at * _STEP + 4,
            _LABEL,
            round(value * scale, 1),
            round(before[label] * scale, 1) if label in before else None,
            before.get(label),
        )
        for at, (label, value) in enumerate(counts.items())
    ]
    return Bars(drawn, WIDTH, max(1, len(drawn)) * _STEP + 4)


class Column(NamedTuple):
    """One column; `value` is what it stands for, `start_ms` when its step began."""

    start_ms: int
    value: float
    x: float
    y: float
    width: float
    height: float


class Columns(NamedTuple):
    """A chart over time; `most` is the highest value, `step_ms` how long a column stands for."""

    columns: list[Column]
    width: int
    height: int
    most: float
    step_ms: int


def columns(values: Sequence[tuple[int, float]], step_ms: int) -> Columns:
    """Return a column for each step, oldest first, the highest as tall as the chart."""
    most = max((value for _, value in values), default=0.0)
    width = _TIME_WIDTH / max(1, len(values))
    drawn = [
        Column(
            start,
            value,
            round(at * width + width * 0.1, 2),
            round(_TIME_HEIGHT - value / (most or 1) * (_TIME_HEIGHT - 4), 2),
            round(width * 0.8, 2),
            round(value / (most or 1) * (_TIME_HEIGHT - 4), 2),
        )
        for at, (start, value) in enumerate(values)
    ]
    return Columns(drawn, _TIME_WIDTH, _TIME_HEIGHT, most, step_ms)


class Life(NamedTuple):
    """One condition's line in the storm: from its first alert to its last. `cause` is its place among the causes."""

    member: Member
    cause: int | None
    y: int
    start: float
    end: float


class Storm(NamedTuple):
    """An incident's conditions over time; `ticks` are (x, ms) along the bottom."""

    lives: list[Life]
    label_width: int
    width: int
    height: int
    ticks: list[tuple[float, int]]


def storm(members: Sequence[Member], causes: Sequence[str] = ()) -> Storm:
    """Return each condition's life on one time axis, in the order they came; `causes` are entities, likeliest first."""
    places = {entity: place for place, entity in reversed([*enumerate(causes, 1)])}
    first = min((one.first_ms for one in members), default=0)
    last = max((one.last_ms for one in members), default=1)
    scale = (_STORM_WIDTH - _STORM_LABEL - 24) / max(1, last - first)
    lives = [
        Life(
            one,
            next((places[name] for name in (one.instance, one.service, one.host) if name in places), None),
            at * 22 + 16,
            round(_STORM_LABEL + (one.first_ms - first) * scale, 1),
            round(_STORM_LABEL + (one.last_ms - first) * scale, 1),
        )
        for at, one in enumerate(members)
    ]
    parts = (0, 0.5, 1) if last - first >= _SECONDS_SHOWN_MS else (0,)  # labels of one instant would lie on each other
    ticks = [(round(_STORM_LABEL + part * (last - first) * scale, 1), round(first + part * (last - first)))
             for part in parts]  # fmt: skip
    return Storm(lives, _STORM_LABEL, _STORM_WIDTH, len(lives) * 22 + 34, ticks)
