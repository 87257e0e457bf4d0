"""What the gate would send: each message's bytes as they were taken, and the state it is in. Only these count."""

import json
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, bindparam, func, select, update

from opspilot_mcp.errors import NotFound
from opspilot_mcp.gate import risks
from opspilot_mcp.gate.schema import approvals, messages
from opspilot_mcp.store import ids

State = Literal[
    "pending", "approved", "sending", "sent", "uncertain", "retry", "failed", "rejected", "withdrawn", "expired",
    "held", "void", "replaced",
]  # fmt: skip
# A message in one of these may still become a message that leaves.
OPEN: tuple[State, ...] = ("pending", "approved", "retry", "expired", "held")
SIGNABLE: tuple[State, ...] = ("pending", "expired")
_COLUMNS = [column for column in messages.c if column.name not in ("content", "draft")]


class Message(BaseModel):
    """One version of one message, without its bytes."""

    model_config = ConfigDict(frozen=True)

    number: int
    proposal: int
    version: int
    kind: Literal["reply", "page"]
    subject: str
    subject_version: int
    requester_id: int | None
    principal: str
    channel: str
    channel_kind: Literal["file", "smtp", "slack", "webhook"]
    destination_sha256: str
    recipient: str
    sha256: str
    source_sha256: str
    event_id: str
    flags: list[risks.Flag]
    risk: risks.Risk
    created_ms: int
    state: State
    detail: str
    state_ms: int
    asked: str
    warnings: list[str]
    not_before_ms: int | None
    attempts: int
    fence: int
    lease_until_ms: int | None

    @property
    def id(self) -> str:
        """The id people and agents use: the proposal's."""
        return ids.shown("PR", self.proposal)


def record(row: Mapping[str, object]) -> Message:
    """Return the record of a `messages` row."""
    values = {name: row[name] for name in row if name not in ("id", "content", "draft", "mirrored")}
    values["number"] = row["id"]
    values["flags"] = json.loads(str(row["flags"]))
    values["warnings"] = json.loads(str(row["warnings"]))
    return Message.model_validate(values)


_NEWEST = select(*_COLUMNS).where(messages.c.proposal == bindparam("proposal")).order_by(messages.c.version.desc())
_ONE = select(*_COLUMNS).where(messages.c.id == bindparam("number"))
_CONTENT = select(messages.c.content).where(messages.c.id == bindparam("number"))


def get(conn: Connection, message_id: str) -> Message:
    """Return the newest version of `PR-9`. Raises NotFound."""
    row = conn.execute(_NEWEST, {"proposal": ids.number("PR", message_id)}).mappings().first()
    if row is None:
        raise NotFound(f"The gate has no {message_id}. `opspilot-mcp gate pending` shows what waits.")
    return record({**row})


def by_number(conn: Connection, number: int) -> Message:
    """Return a message by its row number. Raises NotFound."""
    row = conn.execute(_ONE, {"number": number}).mappings().first()
    if row is None:
        raise NotFound("The gate has no such message.")
    return record({**row})


def content(conn: Connection, number: int) -> bytes:
    """Return the exact bytes."""
    found: bytes = conn.execute(_CONTENT, {"number": number}).scalar_one()
    return found


def draft(conn: Connection, number: int) -> str:
    """Return the words as they were proposed, before cleaning and editing."""
    found: str = conn.execute(select(messages.c.draft).where(messages.c.id == number)).scalar_one()
    return found


def in_state(conn: Connection, states: Sequence[State], *, limit: int, after: int | None = None) -> list[Message]:
    """Return the messages in these states, oldest first; `after` is a row number to page from."""
    query = select(*_COLUMNS).where(messages.c.state.in_(states)).order_by(messages.c.id).limit(limit)
    if after is not None:
        query = query.where(messages.c.id > after)
    return [record({**row}) for row in conn.execute(query).mappings()]


# -- states ------------------------------------------------------------------------------------------------------------


def set_state(
    conn: Connection, number: int, state: State, detail: str, *, now: int, expect: Sequence[State] | None = None
) -> bool:
    """Move a message, when it is in one of `expect`; False when it was not. Leaving `approved` voids signatures.

    Only the dispatcher moves to sending, sent, retry, failed and uncertain; see `dispatch`.
    """
    query = update(messages).where(messages.c.id == number)
    if expect is not None:
        query = query.where(messages.c.state.in_(expect))
    values = {"state": state, "detail": detail, "state_ms": now, "mirrored": False, "not_before_ms": None}
    if conn.execute(query.values(**values)).rowcount != 1:
        return False
    if state not in ("sent", "uncertain"):
        void_signatures(conn, number)
    return True


def void_signatures(conn: Connection, number: int) -> None:
    """Take every signature on a message out of force."""
    conn.execute(
        update(approvals).where(approvals.c.message_id == number, approvals.c.state == "valid").values(state="void")
    )


def is_decided(conn: Connection, message: Message) -> bool:
    """Whether a person has signed a message or worded it anew, also when a hold has voided the signature since."""
    signed = select(approvals.c.id).where(approvals.c.message_id == message.number).limit(1)
    return message.version > 1 or conn.execute(signed).first() is not None


def withdrawn(conn: Connection, *, since_ms: int, limit: int) -> list[Message]:
    """Return what agents took back since then, newest first."""
    query = select(*_COLUMNS).where(messages.c.state == "withdrawn", messages.c.state_ms >= since_ms)
    return [record({**row}) for row in conn.execute(query.order_by(messages.c.id.desc()).limit(limit)).mappings()]


def counts(conn: Connection) -> dict[str, int]:
    """Return how many messages are in each state."""
    rows = conn.execute(select(messages.c.state, func.count()).group_by(messages.c.state).order_by(messages.c.state))
    return {str(name): int(number) for name, number in rows}
