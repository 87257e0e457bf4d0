"""The P1 net in the database: its score is frozen with each triage, its labels are what people decided.

It is shown on tickets a person has looked at. Of those that passed without one only the blind audit sees a tenth, so
an audited P1 counts for all it stands for; a P1 that passed, was not audited and was never corrected is unknown here.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from opspilot_mcp.desk import facts, learner, p1_net, weights
from opspilot_mcp.desk.facts import Kind
from opspilot_mcp.desk.learner import Counts, Head, Row
from opspilot_mcp.desk.p1_net import Net, Told
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.policy import GatePart
from opspilot_mcp.store.schema import triages

_HEAD, _NET, _SEEN = "p1_head", "p1_net", "p1_seen"

_SCORED = (
    select(triages.c.net_score, triages.c.is_p1, triages.c.decision)
    .where(triages.c.net_score.is_not(None))
    .order_by(triages.c.id.desc())
    .limit(p1_net.WINDOW)
)


class P1State(NamedTuple):
    """What the net keeps besides its weights: the learner's head, the net in force, and how many P1s it has learnt."""

    head: Head
    net: Net | None
    seen: int

    @property
    def is_ready(self) -> bool:
        """Whether the net has learnt enough P1s for its scores to count."""
        return self.seen >= p1_net.READY

    def words(self) -> str:
        """Return the net's promise and price, or why there is none, as one plain sentence."""
        if self.net is not None:
            return self.net.words()
        if not self.seen:
            return "no P1 net: no person has called a ticket P1 yet"
        if self.is_ready:
            return f"no P1 net yet: {self.seen} P1s learnt, the next one sets its price"
        return f"no P1 net yet: {self.seen} of {p1_net.READY} P1s learnt"


def load(stored: Mapping[str, str]) -> P1State:
    """Return the net's state from the learner's rows by name; an empty one where there is none."""
    head = Head.load(stored[_HEAD]) if _HEAD in stored else Head()
    net = Net(*json.loads(stored[_NET])) if stored.get(_NET, "null") != "null" else None
    return P1State(head, net, int(stored.get(_SEEN, 0)))


def score(state: P1State, rows: Mapping[int, Row], counts: Counts) -> float | None:
    """Return how much a ticket looks like a P1, 0 to 1; None while the net has learnt too few. Not calibrated."""
    if not state.is_ready:
        return None
    return round(learner.probabilities(state.head, rows, counts).get(p1_net.P1, 0.0), 6)


def learn(conn: Connection, ticket: Ticket, triage_id: int, state: P1State, *, is_p1: bool, gate: GatePart) -> P1State:
    """Learn what a person decided on one triaged ticket, store it, and return the net that is in force now.

    A person's second word on the same ticket counts in place of the first.
    """
    before = conn.execute(select(triages.c.is_p1).where(triages.c.id == triage_id)).scalar_one()
    if before == is_p1:
        return state
    conn.execute(update(triages).where(triages.c.id == triage_id).values(is_p1=is_p1))
    _teach(conn, ticket, state.head, is_p1=is_p1, is_new=before is None)
    seen, net = state.seen + is_p1 - bool(before), state.net
    if seen >= p1_net.READY and (is_p1 or before or state.head.seen % p1_net.PRICE_EVERY == 0):
        net = _learnt(conn, gate)
    after = P1State(state.head, net, seen)
    _save(conn, after)
    return after


def _teach(conn: Connection, ticket: Ticket, head: Head, *, is_p1: bool, is_new: bool) -> None:
    counts = features(ticket)
    rows = weights.load(conn, counts)["p1"]
    learner.learn(head, rows, counts, p1_net.P1 if is_p1 else p1_net.NOT_P1, is_new=is_new)
    weights.save(conn, "p1", {key: rows[key] for key in counts})


def features(ticket: Ticket) -> Counts:
    """Return the net's features of a ticket, its facts read again."""
    kinds: set[Kind] = {fact.kind for fact in facts.read(ticket.subject, ticket.body).facts}
    return p1_net.counts_of(learner.counts_of(ticket.subject, ticket.body), kinds)


def _learnt(conn: Connection, gate: GatePart) -> Net | None:
    unseen = 1 / gate.audit_rate if gate.audit_rate else 1.0
    told = [
        Told(row.net_score, row.is_p1, unseen if row.decision == "audit" else 1.0)
        for row in reversed(conn.execute(_SCORED).all())
    ]
    return p1_net.learn_net(told, miss=gate.p1_miss, most_flagged=gate.p1_most_flagged)


def _save(conn: Connection, state: P1State) -> None:
    bodies = {_HEAD: state.head.dump(), _NET: json.dumps(state.net), _SEEN: str(state.seen)}
    weights.save_state(conn, bodies)
