"""Tickets and incidents are brought together by words and time, as a suggestion with its evidence."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from opspilot_mcp.aiops import flow, incidents, topologies
from opspilot_mcp.clock import parse_ms
from opspilot_mcp.desk import moves
from opspilot_mcp.errors import NotFound
from opspilot_mcp.insights import impact
from opspilot_mcp.policy import Policy
from tests.aiops.storms import alert, estate, fault, fold
from tests.builders import stored_ticket
from tests.conftest import HOUR, MINUTE, NOON

DATA = Path(__file__).parents[2] / "data"


@pytest.fixture(autouse=True)
def _incident(conn: Connection) -> None:
    """INC-1: from NOON for ten minutes, cart-db and cart; its alerts speak of a full disk."""
    estate(conn)
    fold(conn, [fault(1), alert(2, at=20), *(fault(n, at=100 * n) for n in range(3, 7))])


def ticket(conn: Connection, body: str, *, at: int = 5 * MINUTE, **over: Any) -> str:
    return stored_ticket(conn, subject="Help", body=body, now=NOON + at, created_ms=NOON + at, **over).id


def suggested(conn: Connection) -> dict[str, float]:
    return {one.ticket: one.score for one in impact.tickets_of(conn, "INC-1").suggestions}


def test_a_ticket_that_names_an_affected_service_in_time_is_suggested_with_its_evidence(conn: Connection) -> None:
    name = ticket(conn, "My cart is empty since noon.")

    (one,) = impact.tickets_of(conn, "INC-1").suggestions

    assert (one.ticket, one.incident, one.score) == (name, "INC-1", 0.5)
    assert [(e.kind, e.terms) for e in one.why] == [("names_service", ("cart",)), ("in_time", ())]
    assert one.why[-1].seconds == 300


def test_time_alone_is_no_evidence(conn: Connection) -> None:
    ticket(conn, "How do I change my password?")

    assert suggested(conn) == {}


def test_common_words_of_monitors_are_no_evidence(conn: Connection) -> None:
    ticket(conn, "The service has errors over 5 % and a high error rate, requests fail with a timeout.")

    assert suggested(conn) == {}


def test_more_shared_words_raise_the_score(conn: Connection) -> None:
    plain = ticket(conn, "The cart is broken.")
    closer = ticket(conn, "The cart is broken: disk full, no space left.")

    found = suggested(conn)

    assert found[closer] > found[plain]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (-10 * MINUTE, False),
        (-1 * MINUTE, True),
        (0, True),
        (10 * MINUTE + HOUR // 2, True),
        (10 * MINUTE + 2 * HOUR, False),
        (-HOUR, False),
    ],
)
def test_a_ticket_must_come_about_when_the_alerts_did(conn: Connection, at: int, expected: bool) -> None:
    name = ticket(conn, "The cart is broken.", at=at)

    assert (name in suggested(conn)) is expected


def test_closed_and_merged_tickets_are_left_out(conn: Connection) -> None:
    done, kept, twin = (ticket(conn, f"The cart is broken, {n}.") for n in range(3))
    closed = moves.Changes(status="closed")
    moves.update(conn, done, closed, expected_version=None, actor="operator:a", policy=Policy(), now=NOON)
    moves.merge(conn, twin, kept, expected_version=None, actor="operator:a", policy=Policy(), now=NOON)

    assert list(suggested(conn)) == [kept]


def test_what_does_not_fit_the_list_is_counted(conn: Connection) -> None:
    for n in range(4):
        ticket(conn, f"The cart is broken, {n}.")

    found = impact.tickets_of(conn, "INC-1", limit=3)

    assert (len(found.suggestions), found.left_out) == (3, 1)


def test_a_ticket_finds_its_incident_too(conn: Connection) -> None:
    name = ticket(conn, "The cart is broken.")

    (one,) = impact.incidents_of(conn, name).suggestions

    assert (one.ticket, one.incident) == (name, "INC-1")


def test_a_resolved_incident_still_explains_a_ticket_a_merged_one_does_not(conn: Connection) -> None:
    name = ticket(conn, "The cart is broken.")
    incidents.move(conn, "INC-1", "resolved", actor="operator:a", now=NOON + HOUR)

    assert [one.incident for one in impact.incidents_of(conn, name).suggestions] == ["INC-1"]


@pytest.mark.parametrize(("find", "name"), [(impact.tickets_of, "INC-9"), (impact.incidents_of, "T-9")])
def test_unknown_ids_are_not_found(conn: Connection, find: Any, name: str) -> None:
    with pytest.raises(NotFound):
        find(conn, name)


def test_names_are_split_into_words_whatever_their_spelling() -> None:
    assert impact.words_of("CardPayments_v2 für Kühlräume") == {"card", "payment", "v2", "fur", "kuhlraume"}


def test_the_demo_storm_finds_tickets_about_it_and_no_others(conn: Connection) -> None:
    topologies.save(conn, json.loads((DATA / "topology.json").read_text()), actor="operator:a", now=NOON)
    lines = [json.loads(line) for line in (DATA / "storm.jsonl").read_text().splitlines()]
    golden = [json.loads(line.rstrip(",")) for line in (DATA / "tickets_golden.json").read_text().splitlines()[1:-1]]
    about = {one["external_id"] for one in golden if any(trait.startswith("storm:") for trait in one["traits"])}
    read, _ = flow.parse(lines, source=None, now=parse_ms("2026-11-20T17:00:00Z"))
    fold(conn, read)
    named = {}
    for line in (DATA / "tickets.jsonl").read_text().splitlines():
        raw = json.loads(line)
        at = parse_ms(raw["created_at"])
        kept = stored_ticket(conn, subject=raw["subject"], body=raw["body"], now=at, created_ms=at)
        named[kept.id] = raw["external_id"]

    storms = incidents.find(conn, limit=100).incidents
    found = {named[one.ticket] for storm in storms for one in impact.tickets_of(conn, storm.id).suggestions}

    assert found <= about
    assert len(found) >= 2
