"""The clock is one pure function: when a ticket came, its priority, its pauses and the policy."""

from datetime import UTC, datetime

import pytest

from opspilot_mcp.clock import MAX_MS
from opspilot_mcp.desk import sla
from opspilot_mcp.policy import Policy
from tests.conftest import HOUR, MINUTE, NOON

DAYS = {day: ["08:00-12:00", "13:00-17:00"] for day in ("mon", "tue", "wed", "thu", "fri")}
NIGHTS = {"mon": ["20:00-24:00"], "tue": ["20:00-24:00"]}
# P3 is held to office hours, P4 to two nights a week.
OFFICE = Policy.model_validate(
    {
        "calendars": {"office": {"zone": "UTC", "hours": DAYS}, "night": {"zone": "UTC", "hours": NIGHTS}},
        "sla": {
            "P1": {"first_response_minutes": 60, "resolution_minutes": 240},
            "P2": {"first_response_minutes": 240, "resolution_minutes": 1440},
            "P3": {"first_response_minutes": 480, "resolution_minutes": 2400, "calendar": "office"},
            "P4": {"first_response_minutes": 240, "resolution_minutes": 480, "calendar": "night"},
        },
    }
)


def at(day: int, hour: int, minute: int = 0) -> int:
    """Return an instant of March 2026; the 2nd is a Monday."""
    return int(datetime(2026, 3, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


def first_due(*pauses: sla.Pause) -> int:
    """Return hours from NOON to the first response of a P2 (4 hours)."""
    spread = [(NOON + start * HOUR, NOON + end * HOUR) for start, end in pauses]
    found = sla.targets(NOON, "P2", Policy(), spread)
    return (found.first_response_due_ms - NOON) // HOUR


@pytest.mark.parametrize(
    ("pauses", "due"),
    [
        ([], 4),
        ([(1, 2)], 5),
        ([(1, 2), (2, 3)], 6),
        ([(1, 3), (2, 4)], 7),  # overlapping: hours 1 to 4 once
        ([(1, 4), (2, 3)], 7),
        ([(2, 3), (1, 2)], 6),  # in any order
        ([(3, 3)], 4),
        ([(-5, 1)], 5),  # only what lies after the arrival
        ([(-5, -1)], 4),
        ([(9, 11)], 6),  # late by five hours when it began, late by five when it ended
    ],
)
def test_a_pause_moves_a_target_by_its_length_once(pauses: list[sla.Pause], due: int) -> None:
    assert first_due(*pauses) == due


def test_a_pause_that_began_with_the_response_moves_the_resolution_alone() -> None:
    found = sla.targets(NOON, "P2", Policy(), [(NOON + HOUR, NOON + 2 * HOUR)], responded_ms=NOON + HOUR)

    assert found.first_response_due_ms == NOON + 4 * HOUR
    assert found.resolution_due_ms == NOON + 25 * HOUR


def test_what_nobody_has_triaged_is_held_to_p1() -> None:
    assert sla.targets(NOON, None, Policy()) == sla.targets(NOON, "P1", Policy())


@pytest.mark.parametrize(
    ("pauses", "due"),
    [
        ([], at(3, 11)),  # Monday 11 to 12 and 13 to 17, Tuesday 8 to 11
        ([(at(2, 12), at(2, 13))], at(3, 11)),  # the pause was lunch: nothing was lost
        ([(at(2, 17), at(3, 8))], at(3, 11)),  # or the night
        ([(at(2, 16), at(3, 9))], at(3, 14)),  # an hour before closing, an hour after opening
        ([(at(2, 16), at(2, 20)), (at(2, 19), at(3, 9))], at(3, 14)),
        ([(at(6, 16), at(9, 9))], at(3, 14)),  # late when it began
    ],
)
def test_a_pause_moves_a_target_by_its_open_time_alone(pauses: list[sla.Pause], due: int) -> None:
    assert sla.targets(at(2, 11), "P3", OFFICE, pauses).first_response_due_ms == due


def test_pauses_hold_under_a_priority_of_another_calendar() -> None:
    pauses = [(at(2, 16), at(2, 21))]  # an open hour of the office, an open hour of the night

    by_day = sla.targets(at(2, 11), "P3", OFFICE, pauses)
    by_night = sla.targets(at(2, 11), "P4", OFFICE, pauses)
    around_the_clock = sla.targets(at(2, 11), "P2", OFFICE, pauses)

    assert by_day.first_response_due_ms == at(3, 12)
    assert by_night.first_response_due_ms == at(3, 21)
    assert around_the_clock.first_response_due_ms == at(2, 20)


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (at(6, 17), 60 * MINUTE),  # Friday evening: the hour of Monday morning
        (at(8, 3), 60 * MINUTE),
        (at(9, 8, 59), MINUTE),
        (at(9, 9), 0),
        (at(9, 9, 1), -MINUTE),
        (at(10, 8), -7 * HOUR),  # a night does not make it later
    ],
)
def test_time_left_is_open_time(now: int, left: int) -> None:
    assert sla.left_ms(at(9, 9), now, OFFICE.clock_of("P3")) == left


def test_no_pause_makes_the_clock_count_for_ever_or_past_the_last_date() -> None:
    due = sla.targets(0, "P3", OFFICE, [(0, 10**18)])

    assert due.resolution_due_ms <= MAX_MS
    assert sla.targets(MAX_MS, "P1", OFFICE).resolution_due_ms == MAX_MS
