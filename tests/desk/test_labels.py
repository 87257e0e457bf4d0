"""What a person may see of a ticket's reading before they have said what it is about."""

import pytest
from sqlalchemy import Connection, insert, update

from opspilot_mcp.desk import flow, labels, learning, moves
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.schema import triages
from tests.builders import stored_ticket
from tests.conftest import NOON

POLICY = Policy.model_validate({"gate": {"cold_start": "human"}})


@pytest.fixture
def ticket(conn: Connection) -> Ticket:
    """A ticket that triage left to a person."""
    made = stored_ticket(conn)
    seen = flow.read_all(conn, [made.id], policy=POLICY)
    flow.apply_all(conn, seen, policy=POLICY, actor="agent:test", now=NOON)
    return made


def decided(conn: Connection, **values: object) -> None:
    conn.execute(update(triages).values(**values))


def test_a_ticket_nobody_triaged_has_nothing_to_judge(conn: Connection) -> None:
    assert labels.of(conn, stored_ticket(conn).number).state == "untriaged"


@pytest.mark.parametrize(
    ("decision", "forced", "state"),
    [("human", False, "blind"), ("audit", False, "blind"), ("auto", False, "open"), ("human", True, "open")],
)
def test_what_a_certificate_rests_on_is_judged_blind(
    conn: Connection, ticket: Ticket, decision: str, forced: bool, state: str
) -> None:
    decided(conn, decision=decision, forced=forced)

    assert labels.of(conn, ticket.number).state == state
    assert labels.blind_among(conn, [ticket.number]) == ({ticket.number} if state == "blind" else set())


def test_a_given_label_tells_who_gave_it(conn: Connection, ticket: Ticket) -> None:
    learning.review(conn, ticket.id, "billing", by="person:ana", policy=POLICY, now=NOON)

    assert labels.of(conn, ticket.number) == labels.Label("given", "billing", "person:ana", NOON)


def test_the_newest_triage_counts(conn: Connection, ticket: Ticket) -> None:
    decided(conn, decision="human", forced=False)
    row = {column.name: getattr(conn.execute(triages.select()).one(), column.name) for column in triages.c}
    conn.execute(insert(triages).values({**row, "id": 99, "decision": "auto"}))

    assert labels.of(conn, ticket.number).state == "open"


def test_a_person_sets_the_sentiment(conn: Connection, ticket: Ticket) -> None:
    changes = moves.Changes(sentiment="urgent")

    done = moves.update(conn, ticket.id, changes, expected_version=None, actor="person:ana", policy=POLICY, now=NOON)

    assert (done.status, done.ticket.sentiment) == ("applied", "urgent")


@pytest.mark.parametrize(("decision", "reviews"), [("human", 1), ("audit", 1), ("auto", 0)])
def test_a_label_on_a_ticket_that_was_routed_by_itself_teaches_and_stands_in_no_sample(
    conn: Connection, ticket: Ticket, decision: str, reviews: int
) -> None:
    decided(conn, decision=decision, forced=False)

    learning.review(conn, ticket.id, "billing", by="person:ana", policy=POLICY, now=NOON)

    state = learning.load(conn, POLICY)
    assert (state.gate.reviews, state.head.seen) == (reviews, 1)
