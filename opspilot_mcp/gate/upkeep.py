"""What the gate does between decisions: follow the desk, tell it what became of its wishes, notice a restored file."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, select, update

from opspilot_mcp import proposals
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.gate import audit, compose, snapshots, state, taking
from opspilot_mcp.gate.deskside import Look, SourceRow
from opspilot_mcp.gate.dispatch import why_void
from opspilot_mcp.gate.schema import messages
from opspilot_mcp.gate.snapshots import OPEN, Message
from opspilot_mcp.store import ids

MIRROR_BATCH = 500
_SHOWN: dict[str, proposals.Outcome] = {"void": "rejected"}


# -- following the desk ------------------------------------------------------------------------------------------------


def open_proposals(conn: Connection) -> list[int]:
    """Return the proposal numbers of messages that may still leave, or wait for somebody."""
    rows = conn.execute(select(messages.c.proposal).where(messages.c.state.in_(OPEN)).order_by(messages.c.id))
    return list(rows.scalars())


def has_moved(conn: Connection, looks: Mapping[int, Look]) -> bool:
    """Whether `follow` would change anything: most turns it would not, and a turn without a write costs no fsync."""
    for message in snapshots.in_state(conn, OPEN, limit=100_000):
        look = looks.get(message.proposal)
        if why_void(message, look) or (look and look.row and look.row.asked != message.asked):
            return True
        if look and look.facts and _warning(message, look.facts.version) != message.warnings:
            return True
    return False


def follow(conn: Connection, looks: Mapping[int, Look], *, now: int) -> int:
    """Take over what changed at the desk: a hold, a withdrawal, a changed requester, a closed ticket. Returns how many.

    Only ever towards less: a hold the desk takes back stays until a person lifts it.
    """
    changed = 0
    for message in snapshots.in_state(conn, OPEN, limit=100_000):
        look = looks.get(message.proposal)
        if why := why_void(message, look):
            changed += _end(conn, message, "void", why, now=now)
        elif look and look.row and look.row.asked != message.asked:
            changed += _heed(conn, message, look.row, now=now)
        elif look and look.facts:
            _warn(conn, message, look.facts.version)
    return changed


def _heed(conn: Connection, message: Message, row: SourceRow, *, now: int) -> int:
    conn.execute(update(messages).where(messages.c.id == message.number).values(asked=row.asked))
    if row.asked == "send":
        return 0
    to, why = taking.stopped(row, is_decided=snapshots.is_decided(conn, message))
    return _end(conn, message, to, why, now=now)


def _end(conn: Connection, message: Message, to: snapshots.State, why: str, *, now: int) -> int:
    if message.state == to or not snapshots.set_state(conn, message.number, to, why, now=now, expect=OPEN):
        return 0
    audit.record(conn, "desk", f"message.{to}", message.id, now=now, detail={"why": why})
    return 1


def _warn(conn: Connection, message: Message, version: int) -> None:
    """Note on the screen that the ticket or incident moved on since the words were written."""
    warning = _warning(message, version)
    if warning != message.warnings:
        conn.execute(update(messages).where(messages.c.id == message.number).values(warnings=json.dumps(warning)))


def _warning(message: Message, version: int) -> list[str]:
    if version == message.subject_version:
        return []
    return [f"{message.subject} has changed since this was written (version {message.subject_version} to {version})"]


# -- telling the desk --------------------------------------------------------------------------------------------------


def unmirrored(conn: Connection) -> list[tuple[Message, str, str | None]]:
    """Return (message, detail, sent text) of messages whose outcome the desk has not been told."""
    found = []
    rows = conn.execute(
        select(messages.c.id).where(messages.c.mirrored.is_(False)).order_by(messages.c.id).limit(MIRROR_BATCH)
    ).scalars()
    for number in rows.all():
        message, content = snapshots.by_number(conn, number), snapshots.content(conn, number)
        found.append((message, _told(message, content), _sent_text(message, content)))
    return found


def _sent_text(message: Message, content: bytes) -> str | None:
    """Return what was sent, for the ticket's thread; None while it was not, or when the bytes cannot be read."""
    if message.state != "sent":
        return None
    try:
        return compose.read(content, message.channel_kind, message.kind).text
    except InvalidInput:
        return None


def _told(message: Message, content: bytes) -> str:
    """Return what the desk may say about a message, in our words."""
    code = f"content code {compose.content_code(content)}"
    match message.state:
        case "pending" | "expired":
            return "; ".join(part for part in (code, message.detail, "a person must sign it") if part)
        case "approved":
            return f"{code}; {message.detail}; not sent yet"
        case "sending":
            return f"{code}; being sent, not known to have arrived"
        case "uncertain":
            return f"{code}; it is not known whether it arrived, a person must look"
        case _:
            return f"{code}; {message.detail}"


def tell(conn: Connection, told: Sequence[tuple[Message, str, str | None]], *, now: int) -> None:
    """Write outcomes into the desk (the desk's connection)."""
    for message, detail, sent_text in told:
        outcome = _SHOWN.get(message.state, message.state)
        proposals.mirror(conn, message.id, outcome, detail=detail, now=now, sent_body=sent_text)  # type: ignore[arg-type]


def tell_unreadable(conn: Connection, number: int, *, now: int) -> None:
    """Answer a row the gate could not read, so that it does not come back (the desk's connection)."""
    detail = "the proposal could not be read; propose it again"
    proposals.mirror(conn, ids.shown("PR", number), "rejected", detail=detail, now=now)


def set_mirrored(conn: Connection, told: Sequence[tuple[Message, str, str | None]]) -> None:
    """Note which outcomes the desk was told; one that changed meanwhile is told again."""
    for message, _, _ in told:
        conn.execute(
            update(messages)
            .where(
                messages.c.id == message.number,
                messages.c.state == message.state,
                messages.c.state_ms == message.state_ms,
            )
            .values(mirrored=True)
        )


# -- noticing a restored file ------------------------------------------------------------------------------------------


def check_restored(conn: Connection, last: int, last_hash: str, *, now: int) -> bool:
    """Quarantine a database older than its own checkpoints: what it calls waiting may have left already.

    Returns whether that was done now. `last` and `last_hash` were read from the checkpoint file before this
    transaction began.
    """
    if last == 0 or state.read(conn).quarantine:
        return False
    known = dict(audit.rows_after(conn, last - 1)).get(last)
    if known == last_hash:
        return False
    quarantine(conn, "the database is older than its checkpoints, as after a restore from a backup", now=now)
    return True


def quarantine(conn: Connection, why: str, *, now: int) -> None:
    """Stop everything after a restore: approved messages become uncertain, all signatures are void."""
    state.set_quarantine(conn, why, "gate", now=now)
    for message in snapshots.in_state(conn, (*OPEN, "sending"), limit=100_000):
        to: snapshots.State = "uncertain" if message.state in ("approved", "retry", "sending") else "held"
        detail = "waiting when the backup was made; it may have been sent since"
        snapshots.set_state(conn, message.number, to, detail, now=now)
        snapshots.void_signatures(conn, message.number)
        audit.record(conn, "gate", f"message.{to}", message.id, now=now, detail={"why": "restored"})
