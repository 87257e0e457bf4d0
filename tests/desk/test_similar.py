"""Duplicates on arrival: nearly the same text is suggested, never merged, and a flood points at its first ticket."""

from typing import Any

import pytest
from sqlalchemy import Connection

from opspilot_mcp.desk import flow, moves, similar, tickets
from opspilot_mcp.desk.similar import Hint
from opspilot_mcp.desk.triage import Triaged
from opspilot_mcp.policy import Policy
from tests.builders import stored_ticket
from tests.conftest import NOON

POLICY = Policy()
BODY = "The export job stops with ERR_4711 in com.acme.Export after the second page, since Monday morning."


def arrive(conn: Connection, subject: str = "Export stops", body: str = BODY, **over: Any) -> Triaged:
    ticket = stored_ticket(conn, subject=subject, body=body, **over)
    seen = flow.read_all(conn, [ticket.id], policy=POLICY)
    return flow.apply_all(conn, seen, policy=POLICY, actor="agent:test", now=NOON)[0]


def hint(conn: Connection, done: Triaged) -> Hint | None:
    return similar.hint_of(conn, done.ticket.number)


def test_the_same_text_again_is_suggested_with_what_both_name(conn: Connection) -> None:
    first = arrive(conn)

    again = arrive(conn, body=f"Hello, {BODY} Thanks!")

    assert hint(conn, again) == Hint(first.ticket.id, 1.0, ("com.acme.Export", "ERR_4711"), True)
    [told] = [why for why in again.why if why.startswith("Possible duplicate")]
    assert told == (
        f"Possible duplicate of {first.ticket.id}: 100 % the same words, both name com.acme.Export, ERR_4711; "
        "the same requester."
    )


def test_the_first_of_its_kind_has_no_suggestion(conn: Connection) -> None:
    assert hint(conn, arrive(conn)) is None


def test_nothing_is_merged_by_itself(conn: Connection) -> None:
    first, again = arrive(conn), arrive(conn)

    assert [tickets.get(conn, one.ticket.id).merged_into for one in (first, again)] == [None, None]


def test_another_requester_is_named_as_such(conn: Connection) -> None:
    arrive(conn)

    found = hint(conn, arrive(conn, requester_email="eve@example.com"))

    assert found is not None
    assert "another requester, whom a merge leaves unanswered" in found.words()


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        ("Export stops on page 3", BODY),
        ("Import stops", BODY),
        ("Export stops", "Where can I find the invoice of last month? I need it for my tax adviser, please."),
        ("Export stops", "Please call."),
    ],
    ids=["another number in the subject", "another word in the subject", "another text", "too short"],
)
def test_what_differs_is_not_suggested(conn: Connection, subject: str, body: str) -> None:
    arrive(conn, subject="Export stops", body=body if body == "Please call." else BODY)

    assert hint(conn, arrive(conn, subject=subject, body=body)) is None


def test_a_flood_points_at_its_first_ticket(conn: Connection) -> None:
    flood = [arrive(conn) for _ in range(30)]

    assert {found.other for one in flood[1:] if (found := hint(conn, one))} == {flood[0].ticket.id}
    assert all(hint(conn, one) for one in flood[1:])


def test_a_closed_or_merged_ticket_is_not_suggested(conn: Connection) -> None:
    first, second = arrive(conn), arrive(conn)
    moves.merge(conn, first.ticket.id, second.ticket.id, expected_version=None, actor="p", policy=Policy(), now=NOON)

    third = hint(conn, arrive(conn))

    assert third is not None
    assert third.other == second.ticket.id


@pytest.mark.timeout(60)  # well under a second; a pattern that backtracks would take hours
def test_a_hostile_text_costs_little(conn: Connection) -> None:
    endless = "x" * 100_000 + " " + "a.b" * 30_000
    arrive(conn, body=endless)

    again = arrive(conn, body=endless)

    assert hint(conn, again) is None  # a few words without end tell nothing apart
