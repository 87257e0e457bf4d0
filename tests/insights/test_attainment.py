from typing import Any

import pytest
from sqlalchemy import Connection

from opspilot_mcp.insights import attainment
from opspilot_mcp.insights.attainment import Score
from tests.conftest import NOON
from tests.insights.rows import WEEK, ticket

DUE = NOON - 1000


def _first(conn: Connection) -> Score:
    found = attainment.sla(conn, NOON - WEEK, NOON, now=NOON).first_response
    return Score(met=found.met, missed=found.missed, running=found.running)


@pytest.mark.parametrize(
    ("columns", "score"),
    [
        ({"responded_ms": DUE - 1}, Score(met=1)),
        ({"responded_ms": DUE}, Score(met=1)),
        ({"responded_ms": DUE + 1}, Score(missed=1)),
        ({"resolved_ms": DUE}, Score(met=1)),
        ({"resolved_ms": DUE + 1}, Score(missed=1)),
        ({"responded_ms": DUE + 1, "resolved_ms": DUE + 2}, Score(missed=1)),
        ({}, Score(missed=1)),
        ({"paused_ms": DUE}, Score(running=1)),
        ({"paused_ms": DUE + 1}, Score(missed=1)),
    ],
)
def test_a_first_response_is_judged_at_its_due_instant(conn: Connection, columns: dict[str, Any], score: Score) -> None:
    ticket(conn, priority="P2", first_response_due_ms=DUE, **columns)

    assert _first(conn) == score


@pytest.mark.parametrize(("due", "score"), [(NOON - 1, Score(missed=1)), (NOON, Score(running=1))])
def test_an_unanswered_ticket_runs_until_its_due_instant_has_passed(conn: Connection, due: int, score: Score) -> None:
    ticket(conn, priority="P2", first_response_due_ms=due)

    assert _first(conn) == score


def test_first_response_and_resolution_are_judged_apart_and_by_priority(conn: Connection) -> None:
    both: dict[str, Any] = {"first_response_due_ms": DUE, "resolution_due_ms": NOON + 1}
    ticket(conn, priority="P1", responded_ms=DUE, resolved_ms=NOON, **both)
    ticket(conn, priority="P1", responded_ms=DUE + 1, **both)
    ticket(conn, priority="P4", **both)

    found = attainment.sla(conn, NOON - WEEK, NOON, now=NOON)

    assert found.first_response.by_priority == {"P1": Score(met=1, missed=1), "P4": Score(missed=1)}
    assert found.resolution.by_priority == {"P1": Score(met=1, running=1), "P4": Score(running=1)}
    assert found.first_response.rate == pytest.approx(1 / 3)


def test_tickets_without_a_target_and_merged_ones_are_not_judged(conn: Connection) -> None:
    kept = ticket(conn)
    ticket(conn, priority="P2", first_response_due_ms=DUE, merged_into=kept)

    found = attainment.sla(conn, NOON - WEEK, NOON, now=NOON)

    assert found.without_target == 1
    assert found.first_response.rate is None
