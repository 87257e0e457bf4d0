"""What the agents' side may ask to send: propose, hold, withdraw, read. Sending is not in this process.

A row here is a wish. The gate, in its own process, copies it at once into an immutable snapshot in its own
database and decides on that; what it mirrors back (`outcome`) is for reading only.
"""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, bindparam, insert, select, update

from opspilot_mcp.errors import IllegalMove, InvalidInput, NotAllowed, NotFound
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit, idempotency, ids
from opspilot_mcp.store.schema import gate_status, proposals

Outcome = Literal[
    "pending", "approved", "sending", "sent", "uncertain", "retry", "failed", "rejected", "withdrawn", "expired", "held"
]

MAX_BODY = 20_000
MAX_TITLE = 300
HEARTBEAT_MS = 15_000
_CONSOLE = re.compile(r"http://127\.0\.0\.1:[1-9][0-9]{0,4}", re.ASCII)
WAITING = (None, "pending", "held", "approved", "retry", "expired")  # expired: a person may sign again
GONE = ("sending", "sent", "uncertain")  # it left, or nobody knows whether it did
_HOUR_MS = 3_600_000


class Proposal(BaseModel):
    """One message somebody wants sent. `asked` is the agents' side's wish, `outcome` what people's side made of it."""

    model_config = ConfigDict(frozen=True)

    number: int
    kind: Literal["reply", "page"]
    subject: str
    subject_version: int
    requester_id: int | None
    channel: str
    title: str
    body: str
    principal: str
    asked: Literal["send", "hold", "withdraw"]
    asked_by: str | None = None
    created_ms: int
    updated_ms: int
    outcome: Outcome | None
    outcome_detail: str | None
    outcome_ms: int | None
    sent_body: str | None

    @property
    def id(self) -> str:
        return ids.shown("PR", self.number)

    @property
    def state(self) -> str:
        """The one word for readers: the gate's outcome once it has one, else the wish. Only the gate can say sent."""
        if self.outcome in (None, "pending") and self.asked != "send":
            is_own = self.asked == "withdraw" and self.asked_by == self.principal
            return "withdrawn" if is_own else "held"  # another's withdrawal becomes a hold over there
        return self.outcome or "pending"


class NewProposal(BaseModel):
    """What a room fills in to propose. A reply names its requester by id; a page has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["reply", "page"]
    subject: str
    subject_version: int
    requester_id: int | None
    channel: str
    title: str
    body: str


class GateState(BaseModel):
    """Whether people's side runs, from its heartbeat, and where its console listens (loopback, no secret in it)."""

    model_config = ConfigDict(frozen=True)

    running: bool
    killed: bool
    last_beat_ms: int | None
    console: str | None = None


def propose(
    conn: Connection,
    new: NewProposal,
    *,
    principal: str,
    now: int,
    per_hour: int,
    idempotency_key: str | None = None,
    request: Mapping[str, object] | None = None,
) -> tuple[Proposal, bool]:
    """Store a proposal for a person to sign; returns it and whether it is new (False: the key was used before).

    `request` is what the caller asked for. The message may hold facts that have moved on by the time a lost call is
    repeated, so the key is compared with the request where one is given, else with the message.
    Raises InvalidInput for an empty or oversized text, NotAllowed past `per_hour` proposals in an hour,
    Conflict when the key was used for another message.
    """
    _check_text(new)

    def make() -> str:
        _check_rate(conn, now=now, per_hour=per_hour)
        number = conn.execute(
            insert(proposals)
            .values(**new.model_dump(), principal=principal, asked="send", created_ms=now, updated_ms=now)
            .returning(proposals.c.id)
        ).scalar_one()
        shown = ids.shown("PR", number)
        audit.record(conn, principal, "proposal.created", shown, now=now, detail={"for": new.subject})
        return shown

    asked = {"kind": new.kind, **request} if request else new.model_dump(exclude={"subject_version"})
    shown, is_new = idempotency.once(conn, principal, idempotency_key, asked, make, now=now)
    return get(conn, shown), is_new


def check_channel(alias: str, policy: Policy) -> None:
    """Raise InvalidInput for a channel alias the policy lacks."""
    if alias not in policy.channels:
        raise InvalidInput(f"That is not a channel alias. Known: {', '.join(sorted(policy.channels))}.")


def _check_text(new: NewProposal) -> None:
    if not new.body.strip():
        raise InvalidInput("The message is empty. Write what the person should read.")
    for name, value, limit in (("body", new.body, MAX_BODY), ("title", new.title, MAX_TITLE)):
        if len(value) > limit:
            raise InvalidInput(f"The {name} has {len(value)} characters, more than {limit}. Shorten it.")


def _check_rate(conn: Connection, *, now: int, per_hour: int) -> None:
    recent = conn.execute(
        select(proposals.c.id)
        .where(proposals.c.created_ms > now - _HOUR_MS)
        .order_by(proposals.c.id.desc())
        .limit(per_hour)
    ).all()
    if len(recent) >= per_hour:
        raise NotAllowed(
            f"{per_hour} messages were proposed in the last hour, the limit in policy.toml [limits]. "
            "A person should look at the waiting ones first."
        )


def get(conn: Connection, proposal_id: str) -> Proposal:
    """Return one proposal. Raises NotFound."""
    number = ids.number("PR", proposal_id)
    row = conn.execute(select(proposals).where(proposals.c.id == number)).mappings().first()
    if row is None:
        raise NotFound(f"There is no {ids.shown('PR', number)}. list_approvals shows what exists.")
    return _record(dict(row))


def _record(row: dict[str, object]) -> Proposal:
    row["number"] = row.pop("id")
    row.pop("absorbed_ms", None)
    return Proposal.model_validate(row)


_OF_SUBJECT = (
    select(proposals)
    .where(proposals.c.subject == bindparam("of"))
    .order_by(proposals.c.id.desc())
    .limit(bindparam("most"))
)


def of_subject(conn: Connection, subject: str, *, limit: int = 20) -> list[Proposal]:
    """Return the newest proposals for a ticket or incident id, newest first."""
    rows = conn.execute(_OF_SUBJECT, {"of": subject, "most": limit}).mappings()
    return [_record(dict(row)) for row in rows]


def recent(conn: Connection, *, waiting: bool, before: int | None = None, limit: int = 20) -> list[Proposal]:
    """Return up to `limit` proposals, newest first: those still waiting, or all; `before` is a number to page from."""
    query = select(proposals).order_by(proposals.c.id.desc()).limit(limit)
    if waiting:
        open_outcomes = [outcome for outcome in WAITING if outcome]
        query = query.where(
            (proposals.c.asked != "withdraw")
            | (proposals.c.asked_by != proposals.c.principal)
            | (proposals.c.outcome == "held"),  # people may hold what was withdrawn
            proposals.c.outcome.is_(None) | proposals.c.outcome.in_(open_outcomes),
        )
    if before is not None:
        query = query.where(proposals.c.id < before)
    return [_record(dict(row)) for row in conn.execute(query).mappings()]


def ask(
    conn: Connection, proposal_id: str, asked: Literal["hold", "withdraw"], *, principal: str, now: int
) -> Proposal:
    """Ask people's side to hold or withdraw: the safe direction only, a hold is lifted by a person.

    A withdrawal of what another principal proposed, or a person signed, becomes a hold there: nobody's message is
    lost without a person.
    Raises IllegalMove when the message has already left or been decided.
    """
    found = get(conn, proposal_id)
    if found.asked == asked:
        return found
    won = conn.execute(
        update(proposals)
        .where(
            proposals.c.id == found.number,
            proposals.c.asked.in_(["send"] if asked == "hold" else ["send", "hold"]),
            proposals.c.outcome.is_(None)
            | proposals.c.outcome.in_(["pending", "held", "approved", "retry", "expired"]),
        )
        .values(asked=asked, asked_by=principal, updated_ms=now)
    ).rowcount
    if won != 1:
        raise IllegalMove(f"{found.id} is {found.state} and cannot be changed. list_approvals shows what became of it.")
    audit.record(conn, principal, f"proposal.{asked}", found.id, now=now)
    return get(conn, found.id)


def gate_state(conn: Connection, *, now: int) -> GateState:
    """Return whether the gate's heartbeat is fresh (15 s) and whether a person threw the kill switch."""
    row = conn.execute(select(gate_status)).first()
    if row is None:
        return GateState(running=False, killed=False, last_beat_ms=None)
    running = now - row.beat_ms <= HEARTBEAT_MS
    console = row.detail if running and _CONSOLE.fullmatch(row.detail) else None
    return GateState(running=running, killed=row.killed, last_beat_ms=row.beat_ms, console=console)


# -- called by the gate, from its own process --------------------------------------------------------------------------


def mirror(
    conn: Connection, proposal_id: str, outcome: Outcome, *, detail: str | None, now: int, sent_body: str | None = None
) -> None:
    """Write what became of a proposal where the agent can read it. Decides nothing."""
    conn.execute(
        update(proposals)
        .where(proposals.c.id == ids.number("PR", proposal_id))
        .values(outcome=outcome, outcome_detail=detail, outcome_ms=now, sent_body=sent_body)
    )


def beat(conn: Connection, *, now: int, killed: bool, detail: str = "") -> None:
    """Write the gate's heartbeat."""
    values = {"beat_ms": now, "killed": killed, "detail": detail}
    if conn.execute(update(gate_status).where(gate_status.c.id == 1).values(**values)).rowcount == 0:
        conn.execute(insert(gate_status).values(id=1, **values))
