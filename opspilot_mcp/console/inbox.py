"""What waits, what moves and what was decided, read from the gate's database for the list."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, select

from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.gate import compose, snapshots
from opspilot_mcp.gate.schema import approvals, messages
from opspilot_mcp.gate.snapshots import Message, State

PAGE = 50
DONE = 10
SIGN: tuple[State, ...] = ("pending", "expired")
LOOK: tuple[State, ...] = ("uncertain", "failed")
MOVING: tuple[State, ...] = ("approved", "retry", "sending")
ENDED: tuple[State, ...] = ("sent", "rejected", "withdrawn", "void")


class Item(BaseModel):
    """One message in the list. `expires_ms` is when its first signature runs out, None while it has none."""

    model_config = ConfigDict(frozen=True)

    message: Message
    title: str
    signed_by: tuple[str, ...]
    expires_ms: int | None


class Inbox(BaseModel):
    """The list: each part oldest first, but `ended`, newest first. `after` pages through `sign`."""

    model_config = ConfigDict(frozen=True)

    sign: list[Item]
    after: int | None
    look: list[Item]
    moving: list[Item]
    held: list[Item]
    ended: list[Item]
    newest: int


def inbox(conn: Connection, *, after: int | None = None) -> Inbox:
    """Return the first page of everything, or the messages to sign past row `after`."""
    sign = snapshots.in_state(conn, SIGN, limit=PAGE + 1, after=after)
    return Inbox(
        sign=items(conn, sign[:PAGE]),
        after=sign[PAGE - 1].number if len(sign) > PAGE else None,
        look=items(conn, snapshots.in_state(conn, LOOK, limit=PAGE)),
        moving=items(conn, snapshots.in_state(conn, MOVING, limit=PAGE)),
        held=items(conn, snapshots.in_state(conn, ("held",), limit=PAGE)),
        ended=items(conn, _ended(conn)),
        newest=pulse(conn)[1],
    )


def pulse(conn: Connection) -> tuple[int, int]:
    """Return how many messages wait for a signature and the row number of the newest message."""
    counts = snapshots.counts(conn)
    newest: int = conn.execute(select(func.coalesce(func.max(messages.c.id), 0))).scalar_one()
    return sum(counts.get(state, 0) for state in SIGN), newest


def items(conn: Connection, found: Sequence[Message]) -> list[Item]:
    """Return messages as the list shows them."""
    signed = _signatures(conn, [one.number for one in found])
    return [
        Item(
            message=one,
            title=_title(conn, one),
            signed_by=tuple(name for name, _ in signed.get(one.number, ())),
            expires_ms=min((until for _, until in signed.get(one.number, ())), default=None),
        )
        for one in found
    ]


def _title(conn: Connection, message: Message) -> str:
    try:
        return compose.read(snapshots.content(conn, message.number), message.channel_kind, message.kind).title
    except InvalidInput:
        return "(cannot be read)"


def _signatures(conn: Connection, numbers: Sequence[int]) -> dict[int, list[tuple[str, int]]]:
    rows = conn.execute(
        select(approvals.c.message_id, approvals.c.approver, func.min(approvals.c.expires_ms).label("until"))
        .where(approvals.c.message_id.in_(numbers), approvals.c.state == "valid")
        .group_by(approvals.c.message_id, approvals.c.approver)
        .order_by(approvals.c.message_id, approvals.c.approver)
    )
    found: dict[int, list[tuple[str, int]]] = {}
    for row in rows:
        found.setdefault(row.message_id, []).append((row.approver, row.until))
    return found


def _ended(conn: Connection) -> list[Message]:
    numbers = conn.execute(
        select(messages.c.id)
        .where(messages.c.state.in_(ENDED))
        .order_by(messages.c.state_ms.desc(), messages.c.id.desc())
        .limit(DONE)
    ).scalars()
    return [snapshots.by_number(conn, number) for number in numbers.all()]


def next_to_sign(conn: Connection, number: int) -> Message | None:
    """Return the message that waits for a signature after row `number`, or the oldest other one."""
    later = snapshots.in_state(conn, SIGN, limit=1, after=number)
    return next((one for one in later + snapshots.in_state(conn, SIGN, limit=1) if one.number != number), None)


def versions(conn: Connection, proposal: int) -> list[Message]:
    """Return every version of a proposal's message, newest first."""
    numbers = conn.execute(
        select(messages.c.id).where(messages.c.proposal == proposal).order_by(messages.c.version.desc())
    ).scalars()
    return [snapshots.by_number(conn, number) for number in numbers.all()]
