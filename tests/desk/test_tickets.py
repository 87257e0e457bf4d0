"""Tickets arrive whole, once, and cleaned; the queue is ordered by the time left."""

import pytest
from sqlalchemy import Connection, text

from opspilot_mcp.desk import moves, queue, tickets
from opspilot_mcp.desk.moves import Changes
from opspilot_mcp.desk.queue import QueueFilter
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.errors import Conflict, InvalidInput, NotFound
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit
from tests.builders import new_ticket, stored_ticket
from tests.conftest import HOUR, MINUTE, NOON


def receive(conn: Connection, key: str | None = None, **over: object) -> tickets.Received:
    return tickets.receive(
        conn,
        new_ticket(**over),
        actor="agent:test",
        source="agent",
        verified=False,
        policy=Policy(),
        now=NOON,
        idempotency_key=key,
    )


def test_a_new_ticket_is_open_untriaged_and_held_to_the_strictest_target(conn: Connection) -> None:
    ticket = stored_ticket(conn)

    assert (ticket.id, ticket.status, ticket.priority, ticket.version) == ("T-1", "open", None, 1)
    assert ticket.next_due_ms == NOON + 60 * MINUTE
    assert ticket.requester_address == "dana@example.com"


def test_the_same_external_id_comes_in_once(conn: Connection) -> None:
    first = receive(conn, external_id="X-1", subject="one")

    again = receive(conn, external_id="X-1", subject="other")

    assert (again.is_new, again.ticket) == (False, first.ticket)


def test_the_same_key_gives_the_same_ticket(conn: Connection) -> None:
    first = receive(conn, key="k1")

    again = receive(conn, key="k1")

    assert again.ticket.id == first.ticket.id
    assert not again.is_new


def test_the_same_key_for_another_ticket_is_a_conflict(conn: Connection) -> None:
    receive(conn, key="k1")

    with pytest.raises(Conflict, match="new key"):
        receive(conn, key="k1", subject="something else")


def test_what_an_agent_creates_is_unverified(conn: Connection) -> None:
    assert not receive(conn).ticket.requester_verified
    assert stored_ticket(conn).requester_verified


def test_a_ticket_cannot_rename_a_known_requester(conn: Connection) -> None:
    stored_ticket(conn, requester_name="Dana Lee")

    again = stored_ticket(conn, subject="second", requester_name="Your Boss", requester_email="DANA@example.com")

    assert again.requester_name == "Dana Lee"


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example, evil@c.example",
        "a@b.example\nBcc: evil@c.example",
        "Dana <dana@example.com>",
        "a@b@c.example",
        "no-at.example",
        "a@localhost",
        "müller@example.com",
        "a..b@example.com",
        "a@.example.com",
        "x" * 250 + "@example.com",
    ],
)
def test_an_address_that_is_not_one_plain_address_is_refused(conn: Connection, address: str) -> None:
    with pytest.raises(InvalidInput, match=r"name@example\.com"):
        receive(conn, requester_email=address)


def test_a_ticket_without_words_is_refused(conn: Connection) -> None:
    with pytest.raises(InvalidInput, match="neither subject nor body"):
        receive(conn, subject=" \u200b ", body="\x00\n")


def test_a_ticket_without_subject_takes_the_first_words(conn: Connection) -> None:
    ticket = receive(conn, subject="", body="Printer on fire.\nPlease help.").ticket

    assert ticket.subject == "Printer on fire. Please help."


def test_hidden_characters_do_not_get_in_and_letters_stay(conn: Connection) -> None:
    body = "نمی‌خواهم \U0001f468‍\U0001f469‍\U0001f467 क्‍ष"

    ticket = receive(conn, subject="Hi\u202e \x1b[31mthere\U000e0041", body=body).ticket

    assert ticket.subject == "Hi there"
    assert ticket.body == body


def test_a_cut_body_says_so(conn: Connection) -> None:
    ticket = receive(conn, body="x" * 1_000_000).ticket

    assert len(ticket.body) < tickets.MAX_BODY + 100
    assert ticket.body.endswith("[cut: 800000 characters of 1000000]")


def test_a_time_in_the_far_future_is_refused(conn: Connection) -> None:
    with pytest.raises(InvalidInput, match="future"):
        receive(conn, created_ms=NOON + 48 * HOUR)


def test_an_unknown_ticket_names_the_next_step(conn: Connection) -> None:
    with pytest.raises(NotFound, match="list_open_tickets"):
        tickets.get(conn, "T-999")


@pytest.mark.parametrize("wrong", ["", "17", "T-0", "T--1", "INC-1", "T-1; DROP TABLE tickets", "T-" + "9" * 40])
def test_an_id_of_another_shape_is_refused(conn: Connection, wrong: str) -> None:
    with pytest.raises(InvalidInput, match="T-17"):
        tickets.get(conn, wrong)


def triaged(conn: Connection, priority: str, *, minutes_old: int) -> Ticket:
    ticket = stored_ticket(conn, created_ms=NOON - minutes_old * MINUTE)
    changes = Changes.model_validate({"priority": priority})
    return moves.update(conn, ticket.id, changes, expected_version=None, actor="a", policy=Policy(), now=NOON).ticket


def test_the_queue_shows_the_least_time_left_first_and_paused_last(conn: Connection) -> None:
    late = triaged(conn, "P4", minutes_old=3 * 24 * 60 + 5)
    soon = triaged(conn, "P1", minutes_old=30)
    calm = triaged(conn, "P3", minutes_old=0)
    moves.update(conn, soon.id, Changes(status="pending"), expected_version=None, actor="a", policy=Policy(), now=NOON)

    order = [ticket.id for ticket in queue.page(conn, QueueFilter()).tickets]

    assert order == [late.id, calm.id, soon.id]


def test_pages_of_the_queue_meet_without_gap_or_overlap(conn: Connection) -> None:
    made = [stored_ticket(conn, subject=f"n {n}").id for n in range(7)]

    first = queue.page(conn, QueueFilter(), limit=3)
    second = queue.page(conn, QueueFilter(), cursor=first.next_cursor, limit=3)
    third = queue.page(conn, QueueFilter(), cursor=second.next_cursor, limit=3)

    assert [ticket.id for page in (first, second, third) for ticket in page.tickets] == made
    assert (first.matching, third.next_cursor) == (7, None)


@pytest.mark.parametrize("cursor", ["x", "1", "1.2.3", "-1.2", "9" * 50 + ".1", "١.٢"])
def test_a_cursor_nobody_made_is_refused(conn: Connection, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="next_cursor"):
        queue.page(conn, QueueFilter(), cursor=cursor)


def test_the_queue_is_read_through_an_index(conn: Connection) -> None:
    plan = conn.execute(
        text("EXPLAIN QUERY PLAN SELECT id FROM tickets WHERE queue_key IS NOT NULL ORDER BY queue_key, id LIMIT 20")
    ).all()

    assert "USING" in str(plan)
    assert "TEMP B-TREE" not in str(plan)


def test_an_import_is_one_audit_row_that_names_its_members_by_hash(conn: Connection) -> None:
    batch = [new_ticket(external_id=str(n)) for n in range(3)]

    counts = tickets.receive_many(conn, batch, actor="operator:x", source="import", policy=Policy(), now=NOON)
    again = tickets.receive_many(conn, batch, actor="operator:x", source="import", policy=Policy(), now=NOON)

    assert (counts, again) == ((3, 0), (0, 3))
    rows = audit.of_subject(conn, "import")
    assert [(row.action, row.detail["count"]) for row in rows] == [("ticket.imported", 3)]
