"""A proposal becomes a message: copied at once into the bytes that would be sent. A person's edit is taken alike."""

import logging
import secrets
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import DBAPIError

from opspilot_mcp import text as plain
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.gate import audit, canonical, compose, links, risks, snapshots
from opspilot_mcp.gate import state as gate_standing
from opspilot_mcp.gate.deskside import Facts, Look, SourceRow
from opspilot_mcp.gate.policy import FileChannel, GatePolicy, SlackChannel, SmtpChannel, WebhookChannel
from opspilot_mcp.gate.schema import known_hosts, messages, recipients
from opspilot_mcp.gate.snapshots import Message, State
from opspilot_mcp.proposals import MAX_BODY, MAX_TITLE
from opspilot_mcp.store import ids

log = logging.getLogger("opspilot_mcp")

NOBODY = "(nobody)"
_RECENT_REFERENCES = 10


class _Draft(NamedTuple):
    """What a message is made of: the proposal, the words to send, what the desk says beside them, and to whom."""

    row: SourceRow
    words: compose.Words
    facts: Facts | None
    recipient: str


def take(conn: Connection, looks: Iterable[tuple[int, Look]], policy: GatePolicy, *, now: int) -> list[int]:
    """Snapshot proposals the gate has not seen; returns the numbers it could not even read.

    One that cannot become a message (unknown alias, no address, closed ticket) is kept as void, with the reason.
    """
    unreadable = []
    for number, look in looks:
        row = look.row
        if row is None or not (_again(conn, row) or _is_taken(conn, row, look.facts, policy, now=now)):
            unreadable.append(number)
    return unreadable


def _is_taken(conn: Connection, row: SourceRow, facts: Facts | None, policy: GatePolicy, *, now: int) -> bool:
    """Take one proposal; False when a fault of ours showed in it: one stranger's text must not keep the others out."""
    try:
        with conn.begin_nested():
            _take_one(conn, row, facts, policy, now=now)
    except DBAPIError:  # the store's own trouble is everybody's
        raise
    except Exception as error:  # not its text: it may quote the stranger's
        log.error("%s could not be made into a message: %s", ids.shown("PR", row.number), type(error).__name__)
        return False
    return True


def _again(conn: Connection, row: SourceRow) -> bool:
    """Whether the gate has this proposal already; then only the mirror is missing and is written again."""
    ours = messages.c.proposal == row.number, messages.c.state != "replaced"
    return bool(conn.execute(update(messages).where(*ours).values(mirrored=False)).rowcount)


def _take_one(conn: Connection, row: SourceRow, facts: Facts | None, policy: GatePolicy, *, now: int) -> None:
    try:
        why_void = why_stale(row, facts) or _too_long(row)
        recipient = _recipient(row, facts, policy)
    except InvalidInput as error:
        why_void, recipient = str(error), NOBODY
    words = compose.Words(row.kind, row.subject, row.title, row.body)
    if why_void:
        words = compose.Words(row.kind, row.subject, "(not taken)", "")
    number = _insert(conn, _Draft(row, words, facts, recipient), policy, version=1, now=now)
    if why_void:
        snapshots.set_state(conn, number, "void", why_void, now=now)
    elif row.asked != "send":
        snapshots.set_state(conn, number, *stopped(row, is_decided=False), now=now)


def stopped(row: SourceRow, *, is_decided: bool) -> tuple[State, str]:
    """Return (state, why) for a message the agents' side wants stopped.

    Who proposed it may take it back while no person has signed or edited it. Any other is held: it does not leave
    either, but a person sees who asked and can lift it, so that no agent makes another's message disappear.
    """
    who = _named(row.asked_by or "an agent")
    if row.asked == "hold":
        return "held", f"held by {who}"
    if is_decided:
        return "held", f"{who} asked to withdraw what a person had signed or edited; a person lifts or rejects it"
    if row.asked_by != row.principal:
        return "held", f"{who} asked to withdraw what {_named(row.principal)} proposed; a person lifts or rejects it"
    return "withdrawn", f"withdrawn by {who}"


def _named(principal: str) -> str:
    return plain.cap(plain.one_line(principal), 80)[0]


def why_stale(row: SourceRow, facts: Facts | None) -> str:
    """Return why a proposal no longer fits its ticket or incident, "" when it does."""
    if facts is None:
        return f"{row.subject} does not exist."
    if facts.is_merged:
        return f"{row.subject} was merged into another. Propose the message there."
    if row.kind == "reply":
        if not row.subject.startswith("T-"):
            return "A reply belongs to a ticket. Propose it again."
        if facts.status == "closed":
            return f"{row.subject} is closed. Reopen it and propose again."
        if row.requester_id is None or facts.requester_id != row.requester_id:
            return f"The requester of {row.subject} is not the one the reply was written to. Propose it again."
    return ""


def _too_long(row: SourceRow) -> str:
    if len(row.body) > MAX_BODY or len(row.title) > MAX_TITLE or not row.body.strip():
        return f"The text is empty or over {MAX_BODY} characters. Propose a shorter one."
    return ""


def _recipient(row: SourceRow, facts: Facts | None, policy: GatePolicy) -> str:
    """Return whom the bytes go to: the requester's address by id, or where the alias leads. Raises InvalidInput."""
    channel = policy.channel(row.channel)
    if row.kind == "reply":
        if channel.kind not in ("smtp", "file"):
            raise InvalidInput(f"{row.channel} cannot carry a reply to a customer. Propose it to a mail channel.")
        return compose.address(facts.address if facts else None)
    match channel:
        case SmtpChannel(to=None):
            raise InvalidInput(f"gate.toml names no `to` for pages through {row.channel}. Add it there.")
        case SmtpChannel(to=str(to)):
            return to
        case WebhookChannel():
            return f"{row.channel} ({urlsplit(channel.url).hostname})"
        case SlackChannel():
            return f"{row.channel} (Slack {channel.channel_id or 'incoming webhook'})"
        case _:
            return row.channel


def _insert(conn: Connection, draft: _Draft, policy: GatePolicy, *, version: int, now: int) -> int:
    """Build the bytes and store the snapshot; returns its row number."""
    values = {
        **_copied(draft.row, version=version, now=now),
        **_built(conn, draft, policy, new_event_id(conn, draft.row.number, version, policy), now=now),
    }
    number = conn.execute(insert(messages).values(values).returning(messages.c.id)).scalar_one()
    detail = {name: values[name] for name in ("sha256", "version", "risk")}
    audit.record(conn, "gate", "message.taken", ids.shown("PR", draft.row.number), now=now, detail=detail)
    return int(number)


def _built(conn: Connection, draft: _Draft, policy: GatePolicy, event_id: str, *, now: int) -> dict[str, object]:
    """Return the columns that say what would be sent, where to, and what a person should look at in it."""
    row, recipient = draft.row, draft.recipient
    is_known = row.channel in policy.channels
    channel = policy.channel(row.channel) if is_known else FileChannel(kind="file")
    found = _flags(conn, draft, channel.kind, policy)
    content = compose.build(
        draft.words,
        channel,
        policy,
        recipient=recipient if recipient != NOBODY else "nobody@invalid",
        event_id=event_id,
        references=_references(conn, row.subject) if row.kind == "reply" else [],
        now=now,
    )
    return {
        "channel": row.channel if is_known else "(unknown)",
        "channel_kind": channel.kind,
        "destination_sha256": policy.destination_sha256(row.channel) if is_known else "",
        "recipient": recipient,
        "content": content,
        "sha256": canonical.sha256(content),
        "event_id": event_id,
        "flags": risks.dump(found),
        "risk": risks.tier(found),
    }


def _copied(row: SourceRow, *, version: int, now: int) -> dict[str, object]:
    """Return the columns that repeat the proposal, and those every new message starts with."""
    return {
        "proposal": row.number,
        "version": version,
        "kind": row.kind,
        "subject": row.subject,
        "subject_version": row.subject_version,
        "requester_id": row.requester_id,
        "principal": row.principal,
        "source_sha256": row.sha256,
        "draft": f"{row.title}\n\n{row.body}"[: MAX_BODY + MAX_TITLE],
        "created_ms": now,
        "state": "pending",
        "detail": "",
        "state_ms": now,
        "asked": row.asked,
        "warnings": "[]",
        "attempts": 0,
        "fence": 0,
        "mirrored": False,
    }


def new_event_id(conn: Connection, proposal: int, version: int, policy: GatePolicy) -> str:
    """Return the id every try of this message carries: Message-ID, Slack event id, idempotency key.

    It is random in part: after a restore numbers come again, and who drops repeats would drop the new message.
    """
    instance = gate_standing.read(conn).instance[:12]
    return f"pr-{proposal}.v{version}.{secrets.token_hex(4)}.{instance}@{policy.sender.rpartition('@')[2]}"


def _references(conn: Connection, subject: str) -> list[str]:
    """Return the Message-IDs this gate sent on the ticket, oldest first, so that mail programs thread them."""
    rows = conn.execute(
        select(messages.c.event_id)
        .where(messages.c.subject == subject, messages.c.state == "sent", messages.c.kind == "reply")
        .order_by(messages.c.id.desc())
        .limit(_RECENT_REFERENCES)
    ).scalars()
    return list(reversed(rows.all()))


def _flags(conn: Connection, draft: _Draft, channel_kind: str, policy: GatePolicy) -> list[risks.Flag]:
    row, words, facts, recipient = draft
    hosts = [link.host for link in links.find(f"{words.title}\n{words.body}") if link.host]
    known = conn.execute(select(known_hosts.c.host).where(known_hosts.c.host.in_(hosts[:200]))).scalars()
    is_known = conn.execute(select(recipients.c.address).where(recipients.c.address == recipient.casefold())).first()
    context = risks.Context(
        kind=row.kind,
        channel_kind=channel_kind,
        recipient=recipient,
        is_verified=facts.is_verified if facts else False,
        is_known_recipient=is_known is not None,
        thread=facts.thread if facts else "",
        known_hosts=frozenset(known),
    )
    return risks.flags(words.title, words.body, context, policy)


def edited(
    conn: Connection, old: Message, source: SourceRow, facts: Facts, words: compose.Words, policy: GatePolicy, *,
    by: str, now: int,
) -> Message:  # fmt: skip
    """Store a person's new version of a message; the old one is replaced and its signatures are void."""
    draft = _Draft(source, words, facts, _recipient(source, facts, policy))
    number = _insert(conn, draft, policy, version=old.version + 1, now=now)
    snapshots.set_state(conn, old.number, "replaced", f"edited by {by}", now=now)
    conn.execute(update(messages).where(messages.c.id == old.number).values(mirrored=True))
    return snapshots.by_number(conn, number)
