"""From a ticket's text to a decision: what it is, how urgent, and whether a person must look first.

Priority comes from stated facts. The category comes from keyword rules until people have reviewed READY tickets, then
from the learner. Without a certificate the starting rule decides by a fixed confidence gate, and every answer says so.
"""

import json
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert

from opspilot_mcp import engines
from opspilot_mcp.desk import certificate, facts, learner, moves, p1_net, routing, rules, similar, tickets
from opspilot_mcp.desk.certificate import Gate
from opspilot_mcp.desk.learning import Score, State
from opspilot_mcp.desk.p1_net import Net
from opspilot_mcp.desk.routing import Route
from opspilot_mcp.desk.similar import Hint
from opspilot_mcp.desk.tickets import Priority, Sentiment, Ticket
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit
from opspilot_mcp.store.ledger import AiCall, record
from opspilot_mcp.store.schema import triages

ENGINE = "rules-1"
POSSIBLE_P1 = "Possible P1"  # how the reason begins that sends a ticket to a person for the net alone

# How the answer puts the facts that send a ticket to a person whatever the confidence says.
_FOR_A_PERSON: dict[facts.Kind, str] = {
    "vague": "The text says too little to route on.",
    "several_issues": "It raises several issues at once.",
    "instructions_to_ai": "It addresses instructions to the AI; they are data here, and a person looks first.",
    "legal": "It mentions legal steps.",
    "authority_change": "It asks to change who may act on an account.",
    "off_topic": "It does not read like a support request.",
}


class Reading(BaseModel):
    """What an engine made of a ticket's text. `confidence` is about the category, 0 to 1."""

    model_config = ConfigDict(frozen=True)

    engine: str
    category: str
    confidence: float
    priority: Priority
    sentiment: Sentiment
    tags: tuple[str, ...]
    stated: tuple[facts.Kind, ...]  # the kinds of all facts found
    for_a_person: tuple[facts.Kind, ...]  # those a person must see
    why: tuple[str, ...]  # may quote the ticket: strangers' text
    wants_person: bool = False  # the engine itself asks for one


class Decision(NamedTuple):
    """Whether the ticket may be routed without a person, and the sentences that say why."""

    kind: Literal["auto", "human", "audit"]
    certified: bool
    why: tuple[str, ...]
    is_forced: bool = False  # by what the text states, whatever the score


class Triaged(NamedTuple):
    """A ticket after triage; `is_new` is False when it had been triaged before."""

    ticket: Ticket
    is_new: bool
    why: tuple[str, ...]


def read(subject: str, body: str, policy: Policy) -> Reading:
    """Read a ticket by stated facts and keyword rules; pure, no database, no network."""
    found = facts.read(subject, body)
    rating = facts.priority(found)
    category, confidence = rules.category_by_rules(subject, body, policy.desk.categories)
    return Reading(
        engine=ENGINE,
        category=category,
        confidence=round(confidence, 4),
        priority=rating.priority,
        sentiment=rules.sentiment(subject, body),
        tags=rules.tags(subject, body, found),
        stated=tuple(sorted({fact.kind for fact in found.facts})),
        for_a_person=tuple(kind for kind in facts.FOR_A_PERSON if found.has(kind)),
        why=tuple(rating.why),
    )


def graver(one: Priority, other: Priority) -> Priority:
    """Return the more urgent of two priorities: a doubt about urgency is settled towards the customer."""
    return min(one, other)


def merged(local: Reading, asked: engines.Reading, *, model: str) -> Reading:
    """Return a model's reading with what the text states kept: no model takes a fact or a priority away.

    The confidence is the model's own word, and carries no certificate either.
    """
    return local.model_copy(
        update={
            "engine": model,
            "category": asked.category,
            "confidence": round(asked.confidence, 4),
            "priority": graver(local.priority, asked.priority),
            "sentiment": asked.sentiment,
            "tags": tuple(dict.fromkeys([*local.tags, *asked.tags])),
            "wants_person": asked.escalate,
            "why": (*local.why, f"Category by {model}."),
        }
    )


def taught(reading: Reading, scored: Score) -> Reading:
    """Return the reading with the learner's category and calibrated confidence, once it has labels enough."""
    if not scored.is_ready or scored.predicted is None:
        return reading
    near = f"Nearest reviewed tickets: {', '.join(scored.neighbours)}." if scored.neighbours else ""
    return reading.model_copy(
        update={
            "engine": learner.VERSION,
            "category": scored.predicted,
            "confidence": round(scored.score, 4),
            "why": (*reading.why, near) if near else reading.why,
        }
    )


def decide(reading: Reading, policy: Policy, *, state: State, scored: Score, ticket_id: str) -> Decision:
    """Return whether a person must look first. P1 always; so does text no rule should route; then the gate.

    Under a certificate the gate's threshold decides, and a blind audit sends some of what passes to a person too.
    """
    gate, reasons = state.gate, _reasons(reading, scored, state.p1.net)
    forced = bool(reasons)
    by_gate = gate.decide(ticket_id, scored.score) if reading.engine == learner.VERSION else "human"
    if by_gate != "human":
        return Decision("human" if forced else by_gate, True, (*reading.why, *reasons, _sentence(gate)), forced)
    if gate.certificate is not None:
        reasons.append("The score is below the certificate's threshold.")
    elif policy.gate.cold_start == "human":
        reasons.append("The policy sends everything to a person until a certificate stands.")
    elif reading.confidence < policy.gate.threshold:
        reasons.append(f"Confidence {reading.confidence:.2f} is below the gate of {policy.gate.threshold:.2f}.")
    passes = f"Confidence {reading.confidence:.2f} passes the gate of {policy.gate.threshold:.2f}."
    told = f"Starting rule, not certified: {gate.words()}." if gate.certificate is None else _sentence(gate)
    # What the starting rule lets pass is audited too: without it nobody would learn how wrong the sure ones are.
    passed: Literal["auto", "audit"] = (
        "audit" if certificate.is_audited(ticket_id, gate.terms.audit_rate, gate.salt) else "auto"
    )
    return Decision("human" if reasons else passed, False, (*reading.why, *(reasons or [passes]), told), forced)


def wants_model(reading: Reading, policy: Policy, *, state: State, scored: Score, ticket_id: str) -> bool:
    """Whether a model is worth its price: the local reading is not certified, and only the category is in doubt.

    Where the policy trusts nothing before a certificate, a model's word would not spare a person the question either.
    """
    if policy.gate.cold_start == "human" and state.gate.certificate is None:
        return False
    decision = decide(reading, policy, state=state, scored=scored, ticket_id=ticket_id)
    return decision.kind == "human" and not decision.is_forced


def _reasons(reading: Reading, scored: Score, net: Net | None) -> list[str]:
    """Return why a person must see this ticket whatever its category's confidence is."""
    reasons = [_FOR_A_PERSON.get(kind, "It states something a person must see.") for kind in reading.for_a_person]
    if reading.priority == "P1":
        reasons.insert(0, "P1 always goes to a person.")
    elif net is not None and net.flags(scored.p1):
        reasons.insert(0, f"{POSSIBLE_P1}: the net flags it, {net.words()}.")
    if reading.wants_person:
        reasons.append("The engine asks for a person.")
    return reasons


def _sentence(gate: Gate) -> str:
    words = gate.words()
    return f"{words[0].upper()}{words[1:]}."


def apply(
    conn: Connection,
    ticket_id: str,
    reading: Reading,
    scored: Score,
    *,
    state: State,
    hint: Hint | None,
    latency_ms: float,
    policy: Policy,
    actor: str,
    now: int,
) -> Triaged:
    """Write a reading and its decision to the ticket, once: a ticket triaged before is returned as it is."""
    ticket = tickets.get(conn, ticket_id)
    if ticket.triaged_ms is not None or ticket.status in ("resolved", "closed"):
        return Triaged(ticket, False, tuple(tickets.latest_why(conn, ticket.number)))
    if hint is not None:
        similar.keep(conn, ticket, hint, now=now)
        reading = reading.model_copy(update={"why": (*reading.why, hint.words())})
    decision = decide(reading, policy, state=state, scored=scored, ticket_id=ticket.id)
    priority = ticket.priority or reading.priority
    route = routing.route(priority, reading.category, needs_person=decision.kind != "auto", policy=policy)
    values = _values(ticket, reading, decision, route, priority=priority, policy=policy, now=now)
    # The version cannot have moved: this transaction holds the write lock since it read the ticket.
    tickets.change(conn, ticket, values, now=now)
    tickets.set_tags(conn, ticket.number, tickets.clean_tags({*ticket.tags, *reading.tags}))
    _freeze(conn, ticket, reading, decision, scored, epoch=state.gate.epoch, now=now)
    _account(conn, ticket, reading, latency_ms=latency_ms, now=now)
    detail = {"decision": decision.kind, "engine": reading.engine, "priority": priority, "category": reading.category}
    audit.record(conn, actor, "ticket.triaged", ticket.id, now=now, detail=detail)
    return Triaged(tickets.get(conn, ticket_id), True, decision.why)


def _values(
    ticket: Ticket,
    reading: Reading,
    decision: Decision,
    route: Route,
    *,
    priority: Priority,
    policy: Policy,
    now: int,
) -> dict[str, object]:
    # What a person or an agent set by hand before triage stays.
    category = ticket.category or reading.category
    values: dict[str, object] = {
        "category": category,
        "queue": policy.owner(category),
        "sentiment": reading.sentiment,
        "confidence": reading.confidence,
        "certified": decision.certified,
        "escalate": decision.kind != "auto",
        "tier": route.tier,
        "triaged_ms": now,
        **moves.priority_values(ticket, priority, policy),
    }
    if ticket.status == "open":
        values["status"] = route.status
    return values


def _freeze(
    conn: Connection, ticket: Ticket, reading: Reading, decision: Decision, scored: Score, *, epoch: int, now: int
) -> None:
    """Keep the reading and the score as they were when the decision fell: nothing learnt later may touch them."""
    conn.execute(
        insert(triages).values(
            ticket_id=ticket.number,
            engine=reading.engine,
            category=reading.category,
            priority=reading.priority,
            sentiment=reading.sentiment,
            confidence=reading.confidence,
            certified=decision.certified,
            decision=decision.kind,
            predicted=scored.predicted,
            raw=scored.raw,
            score=scored.score,
            epoch=epoch,
            forced=decision.is_forced,
            net_score=_net_score(reading, scored),
            why=json.dumps(decision.why),
            at_ms=now,
        )
    )


def _net_score(reading: Reading, scored: Score) -> float | None:
    """Return what the net is judged by: a P1 that was read out of the text is caught without it."""
    return p1_net.STATED if scored.p1 is not None and reading.priority == "P1" else scored.p1


def _account(conn: Connection, ticket: Ticket, reading: Reading, *, latency_ms: float, now: int) -> None:
    call = AiCall(
        at_ms=now,
        operation="read",
        subject=ticket.id,
        engine="local",
        model=reading.engine if reading.engine in (ENGINE, learner.VERSION) else ENGINE,
        latency_ms=round(latency_ms, 3),
    )
    record(conn, call)
