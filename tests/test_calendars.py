"""Open hours agree, minute for minute, with a clock on the wall of their zone; counting forward inverts counting."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from opspilot_mcp import calendars
from opspilot_mcp.calendars import Calendar, after, open_between
from opspilot_mcp.clock import MAX_MS
from tests.conftest import HOUR, MINUTE

DAY = 24 * HOUR
# Weeks in which a zone does something odd: (zone, a UTC day before it).
ODD_WEEKS = (
    ("Europe/Berlin", date(2026, 3, 27)),  # 23 hours
    ("Europe/Berlin", date(2026, 10, 23)),  # 25 hours
    ("America/New_York", date(2026, 10, 30)),
    ("Australia/Lord_Howe", date(2026, 4, 2)),  # half an hour back
    ("Australia/Lord_Howe", date(2026, 10, 1)),
    ("Pacific/Apia", date(2011, 12, 27)),  # 2011-12-30 never was
    ("Pacific/Kwajalein", date(1993, 8, 19)),  # and 1993-08-21 there
    ("America/Sao_Paulo", date(2018, 2, 15)),  # the hour before midnight twice
    ("America/Sao_Paulo", date(2018, 11, 1)),  # midnight never
    ("America/St_Johns", date(2010, 11, 4)),  # 00:01 becomes 23:01 of the day before
    ("Africa/Casablanca", date(2026, 2, 13)),
    ("Asia/Kathmandu", date(2026, 5, 1)),
    ("UTC", date(2026, 5, 1)),
)
OFFICE = ("08:00-12:00", "13:00-17:00")


def calendar(zone: str = "Europe/Berlin", *holidays: str, **hours: tuple[str, ...]) -> Calendar:
    """Return a calendar of the hours given by weekday; without any, an office's from Monday to Friday."""
    hours = hours or dict.fromkeys(calendars.WEEKDAYS[:5], OFFICE)
    return Calendar(
        calendars.zone(zone),
        tuple(calendars.spans(hours.get(day, ())) for day in calendars.WEEKDAYS),
        frozenset(calendars.holiday(day) for day in holidays),
    )


def local(zone: str, *moment: int) -> int:
    year, month, day, hour, minute = (*moment, 0, 0)[:5]
    return int(datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@cache
def wall(zone: str, ms: int) -> tuple[int, int, date]:
    """Return weekday, minute of the day and date that a clock in the zone shows."""
    shown = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(ZoneInfo(zone))
    return shown.weekday(), 60 * shown.hour + shown.minute, shown.date()


def is_open(one: Calendar, ms: int) -> bool:
    weekday, minute, day = wall(str(one.zone), ms)
    return day not in one.holidays and any(start <= minute < end for start, end in one.week[weekday])


@st.composite
def weeks(draw: st.DrawFn) -> tuple[Calendar, int]:
    """A calendar in an odd week, and the first minute of that week."""
    name, day = draw(st.sampled_from(ODD_WEEKS))
    cuts = st.lists(st.integers(0, 96), min_size=0, max_size=6, unique=True).map(sorted)
    week = []
    for _ in range(7):
        edges = draw(cuts)
        week.append(tuple((15 * start, 15 * end) for start, end in zip(edges[::2], edges[1::2], strict=False)))
    closed = draw(st.sets(st.integers(0, 8), max_size=2))
    holidays = frozenset(day + timedelta(days=number) for number in closed)
    first = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
    return Calendar(calendars.zone(name), tuple(week), holidays), first


@given(weeks(), st.integers(0, 7 * 1440), st.integers(0, 7 * 1440))
@settings(max_examples=150, deadline=None)
def test_open_time_is_what_the_wall_shows_minute_by_minute(week: tuple[Calendar, int], one: int, other: int) -> None:
    office, first = week
    start, end = first + min(one, other) * MINUTE, first + max(one, other) * MINUTE

    counted = open_between(office, start, end)

    assert counted == sum(is_open(office, ms) for ms in range(start, end, MINUTE)) * MINUTE


@given(weeks(), st.integers(0, 7 * DAY), st.integers(1, 40 * HOUR))
@settings(max_examples=300, deadline=None)
def test_just_so_much_is_open_before_the_instant_after_it(week: tuple[Calendar, int], start: int, wanted: int) -> None:
    office, first = week
    assume(office.week_minutes)
    at = first + start

    due = after(office, at, wanted)

    assert open_between(office, at, due) == wanted
    assert is_open(office, due - 1)  # not a moment later than it must be


@given(weeks(), st.lists(st.integers(0, 8 * DAY), min_size=3, max_size=3))
@settings(max_examples=150, deadline=None)
def test_time_adds_up_and_never_runs_back(week: tuple[Calendar, int], instants: list[int]) -> None:
    office, first = week
    a, b, c = (first + one for one in sorted(instants))

    parts = open_between(office, a, b), open_between(office, b, c)

    assert sum(parts) == open_between(office, a, c)
    assert min(parts) >= 0
    assert open_between(office, c, a) == 0


@given(weeks(), st.integers(0, 7 * DAY), st.integers(0, 3 * DAY), st.integers(1, 9 * HOUR), st.integers(0, 9 * HOUR))
@settings(max_examples=150, deadline=None)
def test_a_later_start_or_more_work_is_never_due_earlier(
    week: tuple[Calendar, int], start: int, later: int, wanted: int, more: int
) -> None:
    office, first = week
    assume(office.week_minutes)

    due = after(office, first + start, wanted)

    assert due <= after(office, first + start + later, wanted)
    assert due <= after(office, first + start, wanted + more)


@pytest.mark.parametrize(
    ("start", "minutes", "due"),
    [
        ((2026, 3, 2, 16, 59), 1, (2026, 3, 2, 17, 0)),  # the closing time itself, not the next morning
        ((2026, 3, 2, 16, 59), 2, (2026, 3, 3, 8, 1)),
        ((2026, 3, 2, 11, 30), 60, (2026, 3, 2, 13, 30)),  # over lunch
        ((2026, 3, 2, 11, 30), 30, (2026, 3, 2, 12, 0)),
        ((2026, 3, 2, 12, 10), 30, (2026, 3, 2, 13, 30)),  # begins at lunch
        ((2026, 3, 6, 17, 0), 480, (2026, 3, 9, 17, 0)),  # a Friday's closing time
        ((2026, 3, 7, 3, 0), 480, (2026, 3, 9, 17, 0)),
        ((2026, 12, 24, 12, 30), 300, (2026, 12, 28, 9, 0)),  # Christmas is a holiday, a weekend follows
    ],
)
def test_a_deadline_of_an_office(start: tuple[int, ...], minutes: int, due: tuple[int, ...]) -> None:
    office = calendar("Europe/Berlin", "2026-12-25")

    assert after(office, local("Europe/Berlin", *start), minutes * MINUTE) == local("Europe/Berlin", *due)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2026, 3, 29), 23.0),
        ("Europe/Berlin", (2026, 10, 25), 25.0),
        ("Australia/Lord_Howe", (2026, 4, 5), 24.5),
        ("Pacific/Apia", (2011, 12, 29), 24.0),
    ],
)
def test_a_whole_local_day_is_as_long_as_its_zone_makes_it(zone: str, day: tuple[int, int, int], hours: float) -> None:
    always = calendar(zone, **dict.fromkeys(calendars.WEEKDAYS, ("00:00-24:00",)))
    all_but_that_day = calendar(zone, str(date(*day)), **dict.fromkeys(calendars.WEEKDAYS, ("00:00-24:00",)))
    noon = local(zone, *day, 12)

    closed = open_between(always, noon - 3 * DAY, noon + 3 * DAY) - open_between(
        all_but_that_day, noon - 3 * DAY, noon + 3 * DAY
    )

    assert closed == hours * HOUR


def test_an_hour_that_comes_twice_counts_twice_and_one_that_never_comes_not_at_all() -> None:
    night = calendar("Europe/Berlin", sun=("02:00-03:00",))

    twice = open_between(night, local("Europe/Berlin", 2026, 10, 25), local("Europe/Berlin", 2026, 10, 26))
    never = open_between(night, local("Europe/Berlin", 2026, 3, 29), local("Europe/Berlin", 2026, 3, 30))

    assert (twice, never) == (2 * HOUR, 0)


@pytest.mark.parametrize("start", [-(10**16), 0, MAX_MS, 10**17])
def test_the_ends_of_time_are_counted_too(start: int) -> None:
    office = calendar("America/New_York", "9999-12-31", "0001-01-01")

    due = after(office, start, 80 * HOUR)

    assert start < due < start + 30 * DAY
    assert open_between(office, start, due) == 80 * HOUR


def test_without_a_calendar_it_is_always_open() -> None:
    assert after(None, 5, 7) == 12
    assert open_between(None, 5, 12) == 7
    assert open_between(None, 12, 5) == 0


@pytest.mark.parametrize(
    ("written", "says"),
    [
        (("8:00-12:00",), "two digits"),
        (("08:00 - 12:00",), "two digits"),
        (("08:60-12:00",), "two digits"),
        (("08:00-24:01",), "24:00"),
        (("22:00-06:00",), "22:00-24:00 on its day"),
        (("08:00-08:00",), "two spans"),
        (("08:00-12:00", "11:59-13:00"), "overlap"),
        (("13:00-17:00", "08:00-13:01"), "overlap"),
        (("٠٨:٠٠-١٢:٠٠",), "two digits"),
    ],
)
def test_a_span_that_means_nothing_is_refused(written: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        calendars.spans(written)


def test_spans_are_put_in_order_and_may_touch() -> None:
    assert calendars.spans(("12:00-24:00", "00:00-12:00")) == ((0, 720), (720, 1440))


@pytest.mark.parametrize(
    "name", ["Europe/Berln", "", "..", "/etc/localtime", "Europe", "localtime", "right/UTC", "a\0b", "x" * 5000]
)
def test_a_zone_that_is_not_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        calendars.zone(name)


@pytest.mark.parametrize("written", ["2026-02-30", "2026-2-3", "26-02-03", "20260203", 20_260_203, True, None])
def test_a_holiday_that_is_no_date_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="no date"):
        calendars.holiday(written)


def test_an_instant_is_no_holiday() -> None:
    with pytest.raises(ValueError, match="no date"):
        calendars.holiday(datetime(2026, 12, 25, 9, tzinfo=UTC))


@pytest.mark.parametrize("days", [27, 28, 29, 56])
def test_a_calendar_that_never_closes_is_the_clock_itself(days: int) -> None:
    always = calendar("UTC", **dict.fromkeys(calendars.WEEKDAYS, ("00:00-24:00",)))

    assert after(always, 0, days * DAY) == days * DAY
    assert open_between(always, 0, days * DAY) == days * DAY


def test_a_deadline_that_ends_a_stretch_of_counting_is_no_later() -> None:
    once_a_week = calendar("UTC", mon=("00:00-01:00",))

    assert after(once_a_week, 0, 4 * HOUR) == local("UTC", 1970, 1, 26, 1)
