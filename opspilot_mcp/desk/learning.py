"""The learner in the database: scores are frozen when a ticket is decided, labels come from people.

The learner's weights are rows, so scoring a ticket loads those of its own words and nothing else. The gate's state,
the head and the scale are one JSON row each. A review changes them all in the transaction that stores the label.
"""

import json
import random
import secrets
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from opspilot_mcp.desk import calibration, learner, moves, p1_learning, p1_net, routing, similar, tickets, weights
from opspilot_mcp.desk.calibration import Point, Scale
from opspilot_mcp.desk.certificate import WINDOW, Frozen, Gate, Terms
from opspilot_mcp.desk.facts import Kind
from opspilot_mcp.desk.learner import Counts, Head
from opspilot_mcp.desk.p1_learning import P1State
from opspilot_mcp.desk.tickets import Priority, Ticket
from opspilot_mcp.errors import IllegalMove, InvalidInput, quoted
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit, ids
from opspilot_mcp.store.schema import learner_state, reviews, triages
from opspilot_mcp.store.schema import tickets as ticket_rows

READY = 25  # labels from which the learner beats keyword rules
NEIGHBOURS = 20
_REHEARSALS = 4
_SCALE_EVERY = 10
_SCALE_POINTS = 1_000

_STATE = select(learner_state.c.name, learner_state.c.body)
_REVIEWED = select(reviews.c.ticket_id, reviews.c.category).where(
    reviews.c.ticket_id.in_(bindparam("numbers", expanding=True)), reviews.c.epoch >= bindparam("epoch")
)


class Score(NamedTuple):
    """What the learner says of a ticket before anybody has: `score` is `raw` calibrated, 0 where it knows nothing."""

    predicted: str | None
    raw: float
    score: float
    is_ready: bool
    neighbours: tuple[str, ...]  # the nearest reviewed tickets, best first
    p1: float | None = None  # how much it looks like a P1; None while the net has learnt too few


class Reviewed(NamedTuple):
    """What a review did: the ticket, whether the frozen guess was right, and the gate's plain words."""

    ticket: Ticket
    was_right: bool | None
    gate: str
    alarm: str
    p1_net: str


# -- state ------------------------------------------------------------------------------------------------------------


class State(NamedTuple):
    """Everything the learners keep besides their rows."""

    head: Head
    scale: Scale
    gate: Gate
    p1: P1State


def load(conn: Connection, policy: Policy) -> State:
    """Return the learner's state; a new one before the first review, or where the policy's terms have changed."""
    stored = {row.name: row.body for row in conn.execute(_STATE)}
    head = Head.load(stored["head"]) if "head" in stored else Head()
    scale = Scale(*json.loads(stored["scale"])) if "scale" in stored else Scale()
    terms, p1 = _terms(policy), p1_learning.load(stored)
    if "gate" not in stored:
        return State(head, scale, Gate(terms=terms, salt=secrets.token_hex(16)), p1)
    gate = Gate.load(stored["gate"])
    if gate.terms != terms:
        gate = Gate(terms=terms, salt=gate.salt, epoch=gate.epoch + 1, closed_because="the policy asks for other terms")
    return State(head, scale, gate, p1)


def founded(conn: Connection, policy: Policy) -> State:
    """Return the state, stored: the audit's salt must be the same for every ticket and every process."""
    state = load(conn, policy)
    if not conn.execute(select(learner_state.c.name).where(learner_state.c.name == "gate")).first():
        _save(conn, state)
    return state


def _terms(policy: Policy) -> Terms:
    asked = policy.gate
    return Terms(alpha=asked.alpha, delta=asked.delta, audit_rate=asked.audit_rate)


def _save(conn: Connection, state: State) -> None:
    bodies = {"head": state.head.dump(), "scale": json.dumps(list(state.scale)), "gate": state.gate.dump()}
    weights.save_state(conn, bodies)


# -- scoring ----------------------------------------------------------------------------------------------------------


def score(
    conn: Connection,
    ticket: Ticket,
    state: State,
    *,
    stated: Iterable[Kind] = (),
    found: Sequence[tuple[int, float]] | None = None,
) -> Score:
    """Return what the learners say of a ticket that states facts of these kinds. Reads only its own words' rows.

    `found` is what `similar.near` returned for it, where the caller has it.
    """
    head = state.head
    if not head.categories:
        return Score(None, 0.0, 0.0, False, ())
    counts = learner.counts_of(ticket.subject, ticket.body)
    for_net = p1_net.counts_of(counts, stated)
    rows = weights.load(conn, for_net if state.p1.is_ready else counts)
    near = _reviewed(conn, similar.near(conn, ticket) if found is None else found, epoch=head.epoch)
    chances = learner.probabilities(head, rows["category"], counts)
    predicted, raw = learner.best(learner.fuse(chances, [(label, closeness) for _, label, closeness in near]))
    calibrated = round(state.scale.apply(raw), 6) if predicted is not None else 0.0
    ready = head.seen >= READY and len(head.categories) > 1
    nearest = tuple(ids.shown("T", number) for number, _, _ in near[:3])
    return Score(predicted, raw, calibrated, ready, nearest, p1_learning.score(state.p1, rows["p1"], for_net))


def _reviewed(conn: Connection, found: Sequence[tuple[int, float]], *, epoch: int) -> list[tuple[int, str, float]]:
    """Return (number, category, closeness) of the reviewed tickets among those found, best first."""
    numbers = [number for number, _ in found]
    labels: dict[int, str] = {}
    for row in conn.execute(_REVIEWED, {"numbers": numbers, "epoch": epoch}):
        labels[row.ticket_id] = row.category
    return [(number, labels[number], rank) for number, rank in found if number in labels][:NEIGHBOURS]


# -- learning ---------------------------------------------------------------------------------------------------------


def waiting(conn: Connection, *, limit: int) -> list[str]:
    """Return triaged tickets that wait for a person's word on their category, in order of arrival.

    The certificate's promise rests on that order: whoever picks what to review picks what is measured.
    """
    rows = conn.execute(
        select(triages.c.ticket_id)
        .join(ticket_rows, ticket_rows.c.id == triages.c.ticket_id)
        .where(
            triages.c.correct.is_(None),
            triages.c.decision != "auto",
            ticket_rows.c.status.in_(tickets.OPEN),
            ~triages.c.ticket_id.in_(select(reviews.c.ticket_id)),
        )
        .order_by(triages.c.ticket_id)
        .limit(limit)
    ).scalars()
    return [ids.shown("T", number) for number in rows]


def review(
    conn: Connection,
    ticket_id: str,
    category: str,
    *,
    by: str,
    policy: Policy,
    now: int,
    priority: Priority | None = None,
) -> Reviewed:
    """Store a person's word on what a ticket is about, learn it at once, and let the ticket go on.

    Whether it is a P1 is learnt too: from `priority`, or, where the person names none, from the one triage gave.
    Raises InvalidInput for a category the policy lacks, IllegalMove for a ticket not triaged or reviewed before.
    """
    ticket = tickets.get(conn, ticket_id)
    if category not in policy.desk.categories:
        raise InvalidInput(f"{quoted(category)} is not a category. Known: {', '.join(policy.desk.categories)}.")
    frozen = _frozen(conn, ticket)
    if _is_labelled(conn, ticket):
        raise IllegalMove(f"{ticket.id} was reviewed before. Its label stays; correct the ticket with update_ticket.")
    state = load(conn, policy)
    was_right = None if frozen.predicted is None else frozen.predicted == category
    alarm, state = _take_in(conn, ticket, category, frozen.id, state, now=now, by=by)
    _save(conn, state)
    is_p1 = (priority or frozen.priority) == "P1"
    p1 = p1_learning.learn(conn, ticket, frozen.id, state.p1, is_p1=is_p1, gate=policy.gate)
    _go_on(conn, ticket, category, priority, policy=policy, now=now)
    detail = {"category": category, "right": was_right, "gate": state.gate.words(), "p1": is_p1}
    audit.record(conn, by, "ticket.reviewed", ticket.id, now=now, detail=detail)
    return Reviewed(tickets.get(conn, ticket_id), was_right, state.gate.words(), alarm, p1.words())


def correct_priority(
    conn: Connection, ticket_id: str, priority: Priority, *, by: str, policy: Policy, now: int
) -> Ticket:
    """Store a person's word on a triaged ticket's priority, at any time; the P1 net learns from it.

    For people's doors alone: what an agent sets with `update_ticket` is no label. Raises IllegalMove when the ticket
    is not triaged.
    """
    ticket = tickets.get(conn, ticket_id)
    frozen = _frozen(conn, ticket)
    p1_learning.learn(conn, ticket, frozen.id, load(conn, policy).p1, is_p1=priority == "P1", gate=policy.gate)
    changes = moves.Changes(priority=priority)
    return moves.update(conn, ticket_id, changes, expected_version=None, actor=by, policy=policy, now=now).ticket


def update_by_agent(
    conn: Connection,
    ticket_id: str,
    changes: moves.Changes,
    *,
    expected_version: int | None,
    actor: str,
    policy: Policy,
    now: int,
) -> moves.Changed:
    """Do what `moves.update` does; where the policy says so, the learner learns the category an agent set."""
    done = moves.update(
        conn, ticket_id, changes, expected_version=expected_version, actor=actor, policy=policy, now=now
    )
    if policy.gate.agent_labels and changes.category is not None and done.status == "applied":
        _teach_once(conn, done.ticket, changes.category, by=actor, policy=policy, now=now)
    return done


def _teach_once(conn: Connection, ticket: Ticket, category: str, *, by: str, policy: Policy, now: int) -> None:
    """Learn an agent's word, the first on a ticket that no person has labelled. It is no review: it stands in no sample
    of a certificate, and the ticket is still a person's to label."""
    if _is_labelled(conn, ticket) or audit.has(conn, ticket.id, "ticket.taught"):
        return
    state = load(conn, policy)
    _learn(conn, ticket, category, state.head)
    _save(conn, state)
    audit.record(conn, by, "ticket.taught", ticket.id, now=now, detail={"category": category})


def _is_labelled(conn: Connection, ticket: Ticket) -> bool:
    return conn.execute(select(reviews.c.category).where(reviews.c.ticket_id == ticket.number)).first() is not None


def _frozen(conn: Connection, ticket: Ticket) -> Any:
    """Return the newest triage of a ticket. Raises IllegalMove where there is none."""
    found = conn.execute(
        select(triages).where(triages.c.ticket_id == ticket.number).order_by(triages.c.id.desc()).limit(1)
    ).first()
    if found is None:
        raise IllegalMove(f"{ticket.id} is not triaged yet. Run `opspilot-mcp triage --all` first.")
    return found


def _take_in(
    conn: Connection, ticket: Ticket, category: str, triage_id: int, state: State, *, now: int, by: str
) -> tuple[str, State]:
    """Judge the frozen guess, then learn; returns an alarm's words, if one was raised, and the state to store."""
    head, scale, gate, p1 = state
    row = conn.execute(select(triages).where(triages.c.id == triage_id)).one()
    correct = row.predicted == category
    # A ticket that was routed by itself is looked at because somebody chose to: it teaches, and stands in no sample.
    stands = row.decision != "auto" and not row.forced
    if row.decision != "auto":
        conn.execute(update(triages).where(triages.c.id == triage_id).values(correct=correct))
    is_new = category not in head.categories and head.seen > 0
    event = ""
    if row.epoch == gate.epoch and stands:
        passed = bool(row.certified) and row.decision == "audit"
        event = gate.review(Frozen(row.score, correct), is_new_category=is_new, passed=passed)
    alarm = ""
    if event == "alarm":
        alarm, scale = gate.closed_because, Scale()
        learner.doubt(head)
    elif event == "test":
        gate.run_test(_window(conn, gate.epoch))
    conn.execute(insert(reviews).values(ticket_id=ticket.number, category=category, by=by, at_ms=now, epoch=head.epoch))
    _learn(conn, ticket, category, head)
    if head.seen % _SCALE_EVERY == 0:
        scale = calibration.fit(_points(conn, gate))
    return alarm, State(head, scale, gate, p1)


def _window(conn: Connection, epoch: int) -> list[Frozen]:
    rows = conn.execute(
        select(triages.c.score, triages.c.correct)
        .where(triages.c.epoch == epoch, triages.c.forced.is_(False))
        .order_by(triages.c.id.desc())
        .limit(2 * WINDOW)
    ).all()
    return [Frozen(row.score, row.correct) for row in reversed(rows)]


def _points(conn: Connection, gate: Gate) -> list[Point]:
    """Return what calibration fits on: reviewed guesses of this epoch, an audited one standing for all that passed."""
    rows = conn.execute(
        select(triages.c.raw, triages.c.correct, triages.c.decision)
        .where(
            triages.c.epoch == gate.epoch,
            triages.c.forced.is_(False),
            triages.c.correct.is_not(None),
            triages.c.predicted.is_not(None),
        )
        .order_by(triages.c.id.desc())
        .limit(_SCALE_POINTS)
    ).all()
    audited = 1 / gate.terms.audit_rate if gate.terms.audit_rate else 1.0
    return [Point(row.raw, bool(row.correct), audited if row.decision == "audit" else 1.0) for row in reversed(rows)]


def _learn(conn: Connection, ticket: Ticket, category: str, head: Head) -> None:
    """Teach the ticket's label, and rehearse a few old ones so that they are not forgotten."""
    lessons = [(learner.counts_of(ticket.subject, ticket.body), category, True), *_old_lessons(conn, head, ticket)]
    rows = weights.load(conn, {key for counts, _, _ in lessons for key in counts})["category"]
    for counts, label, is_new in lessons:
        learner.learn(head, rows, counts, label, is_new=is_new)
    weights.save(conn, "category", rows)


def _old_lessons(conn: Connection, head: Head, ticket: Ticket) -> list[tuple[Counts, str, bool]]:
    query = select(reviews.c.ticket_id, reviews.c.category).where(reviews.c.epoch == head.epoch)
    count: int = conn.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    if not count:
        return []
    # Which old labels are rehearsed is no secret, but must be the same in every process.
    dice = random.Random(ticket.number)  # noqa: S311
    lessons: list[tuple[Counts, str, bool]] = []
    for _ in range(_REHEARSALS):
        old = conn.execute(query.order_by(reviews.c.ticket_id).limit(1).offset(dice.randrange(count))).one()
        known = tickets.get(conn, ids.shown("T", old.ticket_id))
        lessons.append((learner.counts_of(known.subject, known.body), old.category, False))
    return lessons


def _go_on(
    conn: Connection, ticket: Ticket, category: str, priority: Priority | None, *, policy: Policy, now: int
) -> None:
    """Give the ticket what the person said, and its tier when only that was in doubt: a P1 still waits for a person."""
    values: dict[str, object] = {"category": category, "queue": policy.owner(category)}
    if priority is not None and priority != ticket.priority:
        values |= moves.priority_values(ticket, priority, policy)
    final = priority or ticket.priority
    if ticket.status == "human_review" and ticket.tier == "human" and final is not None:
        routed = routing.route(final, category, needs_person=final == "P1", policy=policy)
        values |= {"tier": routed.tier, "status": routed.status, "escalate": final == "P1"}
    tickets.change(conn, ticket, values, now=now)
