"""When a desk is open: spans of the wall clock in its own time zone, day by day of the week, but for holidays.

An instant is open exactly when its local time lies in a span of its local weekday and its local date is no holiday.
Everything is counted in UTC: a stretch of UTC time is cut where the zone's offset changes, and each part of one offset
is laid over the local days it touches. So days of 23 or 25 hours, hours that come twice or never, and dates that a
zone skipped need no case of their own.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Span = tuple[int, int]  # minutes of a local day, from the first to before the second

_SECOND = 1_000
_MINUTE = 60 * _SECOND
_DAY = 24 * 60 * _MINUTE
_STRETCH = 28 * _DAY
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_THURSDAY = 3  # the weekday of 1970-01-01
# Nearer to the ends of `datetime` a local time could lie outside it.
_FIRST_S, _LAST_S = -62_135_424_000, 253_402_128_000

_SPAN = re.compile(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NO_ZONES = ("right/", "posix/", "localtime", "posixrules")  # these mean another time on another machine


@dataclass(frozen=True, eq=False)
class Calendar:
    """Open hours: seven days of spans from Monday, in order and apart, and the local dates that are closed."""

    zone: ZoneInfo
    week: tuple[tuple[Span, ...], ...]
    holidays: frozenset[date]

    @property
    def week_minutes(self) -> int:
        """How many minutes of a week without a holiday are open."""
        return sum(end - start for day in self.week for start, end in day)

    @property
    def holiday_minutes(self) -> int:
        """How many open minutes all the holidays together take away."""
        return sum(end - start for day in self.holidays for start, end in self.week[day.weekday()])


# -- as it is written --------------------------------------------------------------------------------------------------


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name. Raises ValueError for one that is not known here."""
    try:
        if name.startswith(_NO_ZONES):
            raise ValueError(name)
        return ZoneInfo(name)
    except (ValueError, KeyError, OSError):
        raise ValueError(f"{name[:60]!r} is no time zone: write an IANA name such as Europe/Berlin or UTC") from None


def spans(written: Sequence[str]) -> tuple[Span, ...]:
    """Return a day's spans such as `08:00-12:00`, in order. Raises ValueError where one is wrong or two overlap."""
    found = sorted((_span(one), one) for one in written)
    for (earlier, first), (later, second) in pairwise(found):
        if later[0] < earlier[1]:
            raise ValueError(
                f"{first!r} and {second!r} overlap: write one span, or end the first where the next begins"
            )
    return tuple(span for span, _ in found)


def _span(written: str) -> Span:
    match = _SPAN.fullmatch(written)
    if match is None:
        raise ValueError(f"{written[:40]!r} is no span of hours: write 08:00-17:30, two digits each")
    start, end = 60 * int(match[1]) + int(match[2]), 60 * int(match[3]) + int(match[4])
    if max(start, end) > 24 * 60:
        raise ValueError(f"{written!r} is no span of hours: a day ends at 24:00")
    if start >= end:
        raise ValueError(
            f"{written!r} does not end after it begins: write a night as two spans, 22:00-24:00 on its day and "
            "00:00-06:00 on the next"
        )
    return start, end


def holiday(written: object) -> date:
    """Return a local date given as `2026-12-25`, or as TOML's own date. Raises ValueError for anything else."""
    if isinstance(written, date) and not isinstance(written, datetime):
        return written
    try:
        if not _DATE.fullmatch(str(written)):
            raise ValueError(written)
        return date.fromisoformat(str(written))
    except ValueError:
        raise ValueError(f"{str(written)[:40]!r} is no date: write 2026-12-25, a day that exists") from None


# -- counting ----------------------------------------------------------------------------------------------------------


def open_between(calendar: Calendar | None, start_ms: int, end_ms: int) -> int:
    """Return the open milliseconds from `start_ms` to before `end_ms`, 0 where it is not later. None is always open."""
    if end_ms <= start_ms:
        return 0
    if calendar is None:
        return end_ms - start_ms
    first, last = start_ms // _STRETCH, end_ms // _STRETCH
    whole = sum(_stretch(calendar, number).total for number in range(first, last))
    return whole + _stretch(calendar, last).until(end_ms) - _stretch(calendar, first).until(start_ms)


def after(calendar: Calendar | None, start_ms: int, open_ms: int) -> int:
    """Return the first instant at which `open_ms` open milliseconds have passed since `start_ms`.

    One that falls on a closing time is that closing time. None is always open. A calendar without an open minute
    has no such instant: the policy refuses it.
    """
    if calendar is None or open_ms <= 0:
        return start_ms + max(0, open_ms)
    number = start_ms // _STRETCH
    left = open_ms + _stretch(calendar, number).until(start_ms)
    while (total := _stretch(calendar, number).total) < left:
        left -= total
        number += 1
    return _stretch(calendar, number).at(left)


class _Stretch(NamedTuple):
    """28 days of UTC: its open pieces in order, how much of it is open before each, and in all."""

    starts: list[int]
    ends: list[int]
    before: list[int]
    total: int

    def until(self, ms: int) -> int:
        """Return how much of the stretch is open before `ms`."""
        piece = bisect_right(self.starts, ms) - 1
        return self.before[piece] + min(ms, self.ends[piece]) - self.starts[piece] if piece >= 0 else 0

    def at(self, open_ms: int) -> int:
        """Return the first instant before which `open_ms` of the stretch are open; over 0, at most its total."""
        piece = bisect_left(self.before, open_ms) - 1
        return self.starts[piece] + open_ms - self.before[piece]


@lru_cache(maxsize=2_048)
def _stretch(calendar: Calendar, number: int) -> _Stretch:
    found = _Stretch([], [], [], 0)
    total = 0
    for since, until, offset in _offsets(calendar.zone, number * _STRETCH, (number + 1) * _STRETCH):
        for start, end in _pieces(calendar, since, until, offset):
            found.starts.append(start)
            found.ends.append(end)
            found.before.append(total)
            total += end - start
    return found._replace(total=total)


def _pieces(calendar: Calendar, since: int, until: int, offset: int) -> Iterator[tuple[int, int]]:
    """Yield the open pieces of a time in which local time is UTC plus `offset`."""
    for day in range((since + offset) // _DAY, (until + offset - 1) // _DAY + 1):
        midnight = day * _DAY - offset
        for start, end in () if _is_holiday(calendar, day) else calendar.week[(day + _THURSDAY) % 7]:
            piece = max(since, midnight + start * _MINUTE), min(until, midnight + end * _MINUTE)
            if piece[0] < piece[1]:
                yield piece


def _is_holiday(calendar: Calendar, day: int) -> bool:
    ordinal = day + _EPOCH.toordinal()
    return 1 <= ordinal <= date.max.toordinal() and date.fromordinal(ordinal) in calendar.holidays


def _offsets(where: ZoneInfo, since: int, until: int) -> Iterator[tuple[int, int, int]]:
    """Yield (from, to, offset) over a time in whole days.

    One look a day finds every change: no zone of the IANA data has changed and changed back within four days.
    """
    for day in range(since, until, _DAY):
        yield from _same(where, day, day + _DAY)


def _same(where: ZoneInfo, since: int, until: int) -> Iterator[tuple[int, int, int]]:
    offset = _offset(where, since)
    if until - since <= _SECOND or offset == _offset(where, until):
        yield since, until, offset
    else:
        middle = (since + until) // 2 // _SECOND * _SECOND
        yield from _same(where, since, middle)
        yield from _same(where, middle, until)


def _offset(where: ZoneInfo, ms: int) -> int:
    at = _EPOCH + timedelta(seconds=min(max(ms // _SECOND, _FIRST_S), _LAST_S))
    offset = at.astimezone(where).utcoffset()
    return int(offset.total_seconds()) * _SECOND if offset is not None else 0
