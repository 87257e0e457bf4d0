"""The P1 net in the database: learnt from people alone, frozen before they speak, and only ever towards a person."""

import random

import pytest
from sqlalchemy import Connection, select

from opspilot_mcp.desk import flow, learning, moves, p1_net, tickets
from opspilot_mcp.desk.tickets import Priority, Ticket
from opspilot_mcp.desk.triage import POSSIBLE_P1, Triaged
from opspilot_mcp.errors import IllegalMove
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.schema import learner_rows, triages
from tests.builders import stored_ticket
from tests.conftest import NOON

POLICY = Policy()
PLAIN = ["report", "column", "sorted", "filter", "label", "button", "colour", "menu", "wording", "layout"]
GRAVE = ["turbine", "halted", "furnace", "overheats", "valve", "stuck"]


def arrive(conn: Connection, number: int, *, grave: bool = False, policy: Policy = POLICY) -> Triaged:
    dice = random.Random(f"{grave}{number}")
    words = dice.choices(PLAIN, k=6) + (dice.choices(GRAVE, k=5) if grave else dice.choices(PLAIN, k=5))
    ticket = stored_ticket(conn, subject=f"Case {number}", body=f"Invoice export shows {' '.join(words)} {number}")
    seen = flow.read_all(conn, [ticket.id], policy=policy)
    return flow.apply_all(conn, seen, policy=policy, actor="agent:test", now=NOON)[0]


def review(conn: Connection, ticket: Ticket, *, grave: bool = False, policy: Policy = POLICY) -> learning.Reviewed:
    said: Priority | None = "P1" if grave else None
    return learning.review(conn, ticket.id, "technical", by="operator:test", policy=policy, now=NOON, priority=said)


def teach(conn: Connection, count: int, *, every: int = 10, policy: Policy = POLICY) -> None:
    """Let a person review tickets of which one in `every` is a P1 that no fact states."""
    for number in range(count):
        grave = number % every == 0
        review(conn, arrive(conn, number, grave=grave, policy=policy).ticket, grave=grave, policy=policy)


def frozen(conn: Connection, ticket: Ticket) -> tuple[float | None, bool | None]:
    row = conn.execute(select(triages).where(triages.c.ticket_id == ticket.number)).one()
    return row.net_score, row.is_p1


def words(conn: Connection) -> str:
    return learning.load(conn, POLICY).p1.words()


def test_without_a_p1_there_is_no_net_and_it_says_so(conn: Connection) -> None:
    review(conn, arrive(conn, 1).ticket)

    assert words(conn) == "no P1 net: no person has called a ticket P1 yet"
    assert frozen(conn, arrive(conn, 2).ticket) == (None, None)


def test_a_few_p1s_make_no_net_yet(conn: Connection) -> None:
    teach(conn, 40)

    assert words(conn) == "no P1 net yet: 4 of 5 P1s learnt"


def test_the_net_sends_what_looks_like_a_p1_to_a_person_and_names_its_price(conn: Connection) -> None:
    teach(conn, 100)

    flagged = arrive(conn, 1000, grave=True)

    assert (flagged.ticket.status, flagged.ticket.tier) == ("human_review", "human")
    [told] = [why for why in flagged.why if why.startswith(POSSIBLE_P1)]
    assert "of your P1s" in told
    assert "of tickets are flagged (shown on " in told


def test_the_net_moves_no_priority(conn: Connection) -> None:
    before = arrive(conn, 1000, grave=True).ticket
    teach(conn, 100)

    after = arrive(conn, 1000, grave=True).ticket

    assert (before.priority, after.priority) == ("P3", "P3")


def test_a_plain_ticket_is_not_flagged(conn: Connection) -> None:
    teach(conn, 100)

    assert not [why for why in arrive(conn, 1000).why if why.startswith(POSSIBLE_P1)]


def test_the_net_s_score_is_frozen_before_the_person_speaks(conn: Connection) -> None:
    teach(conn, 100)
    ticket = arrive(conn, 1000, grave=True).ticket
    before, _ = frozen(conn, ticket)

    review(conn, ticket, grave=False)

    assert frozen(conn, ticket) == (before, False)


def test_a_stated_p1_is_caught_without_the_net(conn: Connection) -> None:
    teach(conn, 100)
    ticket = stored_ticket(conn, subject="Everything is down", body="The site is down for all 200 of our users.")
    seen = flow.read_all(conn, [ticket.id], policy=POLICY)

    [done] = flow.apply_all(conn, seen, policy=POLICY, actor="a", now=NOON)

    assert frozen(conn, ticket)[0] == p1_net.STATED
    assert not [why for why in done.why if why.startswith(POSSIBLE_P1)]


def test_a_flagged_ticket_stands_in_no_sample_of_the_certificate(conn: Connection) -> None:
    teach(conn, 100)

    ticket = arrive(conn, 1000, grave=True).ticket

    row = conn.execute(select(triages.c.forced).where(triages.c.ticket_id == ticket.number)).one()
    assert row.forced is True


def test_a_person_who_says_p1_raises_the_ticket_and_it_still_waits(conn: Connection) -> None:
    arrived = arrive(conn, 1, grave=True, policy=Policy.model_validate({"gate": {"cold_start": "human"}})).ticket

    after = review(conn, arrived, grave=True).ticket

    assert (after.priority, after.tier, after.status, after.escalate) == ("P1", "L3", "human_review", True)


def test_what_an_agent_sets_is_no_label(conn: Connection) -> None:
    ticket = arrive(conn, 1).ticket
    p1 = moves.Changes(priority="P1")
    moves.update(conn, ticket.id, p1, expected_version=None, actor="agent:test", policy=POLICY, now=NOON)

    review(conn, tickets.get(conn, ticket.id))

    assert frozen(conn, ticket) == (None, False)
    assert tickets.get(conn, ticket.id).priority == "P1"


def test_a_person_s_later_correction_is_a_label_and_counts_in_place_of_the_first(conn: Connection) -> None:
    ticket = arrive(conn, 1).ticket
    review(conn, ticket)

    said: Priority
    for said in ("P1", "P1", "P3", "P1"):
        after = learning.correct_priority(conn, ticket.id, said, by="alice", policy=POLICY, now=NOON)

    assert (after.priority, frozen(conn, ticket)[1]) == ("P1", True)
    assert words(conn) == "no P1 net yet: 1 of 5 P1s learnt"


def test_the_same_word_twice_teaches_once(conn: Connection) -> None:
    ticket = arrive(conn, 1).ticket
    review(conn, arrive(conn, 2).ticket)
    review(conn, ticket, grave=True)
    before = conn.execute(select(learner_rows).order_by(learner_rows.c.hash, learner_rows.c.model)).all()

    learning.correct_priority(conn, ticket.id, "P1", by="alice", policy=POLICY, now=NOON)

    assert conn.execute(select(learner_rows).order_by(learner_rows.c.hash, learner_rows.c.model)).all() == before


def test_an_untriaged_ticket_has_nothing_to_correct(conn: Connection) -> None:
    with pytest.raises(IllegalMove, match="not triaged"):
        learning.correct_priority(conn, stored_ticket(conn).id, "P1", by="alice", policy=POLICY, now=NOON)


def test_the_policy_s_limit_turns_the_net_off(conn: Connection) -> None:
    off = Policy.model_validate({"gate": {"p1_most_flagged": 0}})
    teach(conn, 100, policy=off)

    assert not [why for why in arrive(conn, 1000, grave=True).why if why.startswith(POSSIBLE_P1)]
    assert "the P1 net is off" in words(conn)
