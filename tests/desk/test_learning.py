"""The learner in the database: frozen scores, labels from people, a certificate that stands and falls."""

import random

import pytest
from sqlalchemy import Connection, select

from opspilot_mcp.desk import flow, learning, moves, tickets
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.desk.triage import Triaged
from opspilot_mcp.errors import IllegalMove, InvalidInput
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.schema import triages
from tests.builders import stored_ticket
from tests.conftest import NOON

POLICY = Policy.model_validate({"gate": {"cold_start": "human"}})
WORDS = {
    "billing": ["invoice", "refund", "charged", "card", "payment", "receipt", "vat", "amount"],
    "account": ["password", "login", "locked", "seat", "invite", "member", "signin", "role"],
    "technical": ["crash", "error", "timeout", "upload", "slow", "stacktrace", "broken", "sync"],
}


def arrive(conn: Connection, category: str, number: int, policy: Policy = POLICY) -> Triaged:
    dice = random.Random(f"{category}{number}")
    said = " ".join(dice.choices(WORDS[category], k=8) + dice.choices(["the", "we", "today", "again", "please"], k=6))
    ticket = stored_ticket(conn, subject=f"Case {number}", body=f"{said} {number}")
    seen = flow.read_all(conn, [ticket.id], policy=policy)
    return flow.apply_all(conn, seen, policy=policy, actor="agent:test", now=NOON)[0]


def review(conn: Connection, ticket: Ticket, category: str, policy: Policy = POLICY) -> learning.Reviewed:
    return learning.review(conn, ticket.id, category, by="operator:test", policy=policy, now=NOON)


def teach(conn: Connection, count: int) -> list[learning.Reviewed]:
    names = list(WORDS)
    done = []
    for number in range(count):
        category = names[number % 3]
        arrived = arrive(conn, category, number)
        if arrived.ticket.status == "human_review":
            done.append(review(conn, arrived.ticket, category))
    return done


def test_before_any_review_nothing_is_certified_and_the_answer_counts_down(conn: Connection) -> None:
    arrived = arrive(conn, "billing", 1)

    assert arrived.ticket.certified is False
    assert "0 of 70 reviews until a certificate" in arrived.why[-1]


def test_a_review_is_learnt_at_once(conn: Connection) -> None:
    review(conn, arrive(conn, "billing", 1).ticket, "billing")
    review(conn, arrive(conn, "account", 2).ticket, "account")
    state = learning.load(conn, POLICY)

    scored = learning.score(conn, arrive(conn, "account", 3).ticket, state)

    assert (scored.predicted, scored.is_ready) == ("account", False)


def test_from_enough_reviews_on_the_learner_names_the_category(conn: Connection) -> None:
    teach(conn, learning.READY)

    arrived = arrive(conn, "account", 1000)

    assert arrived.ticket.category == "account"
    assert any("Nearest reviewed tickets: T-" in sentence for sentence in arrived.why)


def test_the_score_is_frozen_before_the_label_is_learnt(conn: Connection) -> None:
    teach(conn, 30)
    arrived = arrive(conn, "billing", 500)
    before = conn.execute(select(triages).where(triages.c.ticket_id == arrived.ticket.number)).one()

    review(conn, arrived.ticket, "account")

    after = conn.execute(select(triages).where(triages.c.ticket_id == arrived.ticket.number)).one()
    assert (after.score, after.predicted, after.raw) == (before.score, before.predicted, before.raw)
    assert after.correct is False


def test_a_certificate_stands_after_reviews_and_lets_tickets_pass(conn: Connection) -> None:
    done = teach(conn, 150)

    later = [arrive(conn, name, 2000 + number) for number, name in enumerate(list(WORDS) * 10)]

    assert any(one.gate.startswith("certified: error at most 10 %") for one in done)
    passed = [one.ticket for one in later if one.ticket.status == "open"]
    assert len(passed) > 10
    assert all(ticket.certified for ticket in passed)


def test_the_blind_audit_looks_like_any_other_review(conn: Connection) -> None:
    teach(conn, 150)
    later = [arrive(conn, name, 2000 + number) for number, name in enumerate(list(WORDS) * 20)]

    audited = conn.execute(select(triages.c.ticket_id).where(triages.c.decision == "audit")).scalars().all()

    assert audited
    assert {one.ticket.status for one in later if one.ticket.number in audited} == {"human_review"}


def test_labels_that_cannot_be_learnt_are_never_certified(conn: Connection) -> None:
    names = list(WORDS)
    dice = random.Random(7)
    for number in range(160):
        arrived = arrive(conn, names[number % 3], number)
        done = review(conn, arrived.ticket, dice.choice(names))

    assert "reviews until a certificate" in done.gate
    assert learning.load(conn, POLICY).gate.certificate is None


def test_a_p1_waits_for_a_person_under_any_certificate(conn: Connection) -> None:
    teach(conn, 150)
    ticket = stored_ticket(
        conn, subject="Outage", body="The site is down for all users, login password locked seat role"
    )
    seen = flow.read_all(conn, [ticket.id], policy=POLICY)

    [done] = flow.apply_all(conn, seen, policy=POLICY, actor="a", now=NOON)

    assert (done.ticket.priority, done.ticket.status) == ("P1", "human_review")


def test_reviews_are_handed_out_in_order_of_arrival(conn: Connection) -> None:
    made = [arrive(conn, "billing", number).ticket.id for number in range(3)]
    review(conn, tickets.get(conn, made[0]), "billing")

    assert learning.waiting(conn, limit=10) == made[1:]


def test_a_reviewed_ticket_goes_on_to_its_tier(conn: Connection) -> None:
    arrived = arrive(conn, "billing", 1)

    after = review(conn, arrived.ticket, "billing").ticket

    assert (arrived.ticket.tier, arrived.ticket.status) == ("human", "human_review")
    assert (after.status, after.category) == ("open", "billing")
    assert after.tier in ("L1", "L2")


def test_a_second_word_on_a_ticket_and_a_foreign_category_are_refused(conn: Connection) -> None:
    arrived = arrive(conn, "billing", 1)
    with pytest.raises(InvalidInput, match="Known"):
        review(conn, arrived.ticket, "weather")
    review(conn, arrived.ticket, "billing")

    with pytest.raises(IllegalMove, match="reviewed before"):
        review(conn, arrived.ticket, "account")


def test_what_an_agent_updates_is_no_label(conn: Connection) -> None:
    arrived = arrive(conn, "billing", 1)
    changes = moves.Changes(category="account")
    moves.update(conn, arrived.ticket.id, changes, expected_version=None, actor="agent:test", policy=POLICY, now=NOON)

    assert learning.load(conn, POLICY).head.seen == 0


def test_other_terms_in_the_policy_withdraw_the_certificate(conn: Connection) -> None:
    teach(conn, 150)
    stricter = Policy.model_validate({"gate": {"cold_start": "human", "alpha": 0.01}})

    gate = learning.load(conn, stricter).gate

    assert gate.certificate is None
    assert "other terms" in gate.words()


def asks(conn: Connection, subject: str, body: str, policy: Policy) -> bool:
    ticket = stored_ticket(conn, subject=subject, body=body)
    return flow.read_all(conn, [ticket.id], policy=policy)[0].wants_model


@pytest.mark.parametrize(
    ("subject", "body", "wanted"),
    [
        ("Room 12", "The plaques for room 12 and room 14 are swapped.", True),
        ("Charged twice", "My card shows two identical payments for invoice 4711. Please refund.", False),
        ("Everything is down", "The site is down for all 200 of our users since 9:00.", False),
        ("Invoice", "Our lawyer will sue you over the thing from last week.", False),
    ],
    ids=["in doubt", "passes the starting rule", "P1", "a person sees it anyway"],
)
def test_before_a_certificate_a_model_is_wanted_only_for_a_doubtful_category(
    conn: Connection, subject: str, body: str, wanted: bool
) -> None:
    assert asks(conn, subject, body, Policy()) is wanted


def test_a_desk_that_trusts_nothing_yet_asks_no_model(conn: Connection) -> None:
    assert not asks(conn, "Room 12", "The plaques for room 12 and room 14 are swapped.", POLICY)


def test_under_a_certificate_a_model_is_wanted_exactly_where_it_does_not_hold(conn: Connection) -> None:
    teach(conn, 150)
    said = [" ".join(words) for words in WORDS.values()] + ["wobble gizmo", "charged password crash upload locked vat"]
    made = [stored_ticket(conn, subject=f"Case {n}", body=f"{words} {n}") for n, words in enumerate(said * 5)]

    seen = flow.read_all(conn, [ticket.id for ticket in made], policy=POLICY)
    done = flow.apply_all(conn, seen, policy=POLICY, actor="agent:test", now=NOON)

    certified = [one.ticket.certified for one in done]
    forced = [bool(one.reading.for_a_person) for one in seen]
    assert {True, False} <= set(certified)
    assert [one.wants_model for one in seen] == [
        not sure and not odd for sure, odd in zip(certified, forced, strict=True)
    ]


AGENT_TEACHES = Policy.model_validate({"gate": {"cold_start": "human", "agent_labels": True}})


def file_under(conn: Connection, ticket: Ticket, category: str, policy: Policy) -> int:
    """An agent sets a category; returns how many lessons the learner has had."""
    changes = moves.Changes(category=category)
    learning.update_by_agent(
        conn, ticket.id, changes, expected_version=None, actor="agent:test", policy=policy, now=NOON
    )
    return learning.load(conn, policy).head.seen


def test_an_agents_category_teaches_nothing_unless_the_policy_says_so(conn: Connection) -> None:
    ticket = arrive(conn, "billing", 1).ticket

    assert file_under(conn, ticket, "account", POLICY) == 0
    assert file_under(conn, ticket, "billing", AGENT_TEACHES) == 1
    assert tickets.get(conn, ticket.id).category == "billing"


def test_an_agent_teaches_once_a_ticket_and_never_over_a_person(conn: Connection) -> None:
    ticket, labelled = arrive(conn, "billing", 1).ticket, arrive(conn, "account", 2).ticket
    review(conn, labelled, "account", AGENT_TEACHES)
    file_under(conn, ticket, "technical", AGENT_TEACHES)

    assert file_under(conn, ticket, "account", AGENT_TEACHES) == 2
    assert file_under(conn, labelled, "billing", AGENT_TEACHES) == 2


def test_a_ticket_an_agent_labelled_is_still_a_persons_and_in_no_sample(conn: Connection) -> None:
    ticket = arrive(conn, "billing", 1).ticket
    file_under(conn, ticket, "technical", AGENT_TEACHES)
    judged = conn.execute(select(triages.c.correct).where(triages.c.ticket_id == ticket.number)).scalar_one()

    reviewed = review(conn, ticket, "account", AGENT_TEACHES)

    assert judged is None
    assert reviewed.ticket.category == "account"
    assert learning.load(conn, AGENT_TEACHES).head.seen == 2
