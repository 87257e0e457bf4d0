"""The only room that sends: check everything again and claim, send, then record under the claim's fence.

A claim is committed before anything leaves. What a crash or a paused process leaves in doubt becomes `uncertain`
for a person; nothing is sent again blindly, unless the channel drops repeats by itself.
"""

import os
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, Select, bindparam, func, insert, or_, select, update

from opspilot_mcp.clock import HOUR_MS
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.gate import approvers, audit, canonical, compose, links, signatures, snapshots, state, taking
from opspilot_mcp.gate.channels import Envelope, SendFailed, Wire, outlet
from opspilot_mcp.gate.deskside import Look
from opspilot_mcp.gate.schema import approvals, deliveries, known_hosts, messages, recipients
from opspilot_mcp.gate.signatures import Authority
from opspilot_mcp.gate.snapshots import Message

LEASE_MS = 300_000
# Name, connection (60 s at most) and the cut at 100 s: a sender that begins this long before its lease ends is done
# before anybody is asked about the message.
_LONGEST_SEND_MS = 220_000
FIRST_BACKOFF_MS = 10_000
LONGEST_BACKOFF_MS = 15 * 60_000
BATCH = 20

CRASH_LABELS = ("before_claim", "in_claim", "after_claim", "after_send", "in_mark", "after_mark")


@dataclass(frozen=True)
class Claim:
    """The right to send one message once, until the lease ends."""

    message: Message
    envelope: Envelope
    fence: int
    lease_until_ms: int
    expires_ms: int  # when the first signature that counted ends


@dataclass(frozen=True)
class Result:
    """How a try ended: sent, retry, failed or uncertain."""

    outcome: str
    detail: str
    retry_after_ms: int = 0


def crash_here(label: str) -> None:
    """Die as if the power went, where a test asks for it: only this process reads OPSPILOT_CRASH_AT."""
    if os.environ.get("OPSPILOT_CRASH_AT") == label:
        os.kill(os.getpid(), signal.SIGKILL)


# -- claim -------------------------------------------------------------------------------------------------------------

_DUE = (
    select(messages.c.id, messages.c.proposal)
    .where(
        messages.c.state.in_(("approved", "retry")),
        or_(messages.c.not_before_ms.is_(None), messages.c.not_before_ms <= bindparam("now")),
    )
    .order_by(messages.c.not_before_ms, messages.c.id)
    .limit(BATCH)
)


def due(conn: Connection, *, now: int) -> list[tuple[int, int]]:
    """Return (row number, proposal number) of messages whose time to leave has come, oldest first."""
    standing = state.read(conn)
    if standing.killed_by or standing.quarantine:
        return []
    return [(row.id, row.proposal) for row in conn.execute(_DUE, {"now": now})]


def claim(conn: Connection, authority: Authority, number: int, look: Look | None, *, now: int) -> Claim | None:
    """Check everything again and take the message for sending; None when it may not leave, with the reason stored.

    `look` is what the desk said just before. Runs in one write transaction: state, switches, caps, bytes, signatures,
    nonces and the ticket are judged together, and the claim is durable before a byte leaves.
    """
    crash_here("before_claim")
    standing = state.see(conn, now=now)
    now = standing.now(now)
    message = snapshots.by_number(conn, number)
    if standing.killed_by or standing.quarantine or not _is_due(message, now) or _is_capped(conn, authority, now):
        return None
    content = snapshots.content(conn, number)
    if doubt := _doubt(authority, message, content, look):
        _refuse(conn, message, *doubt, now=now)
        return None
    trusted = approvers.load(conn, authority.home, authority.root)
    signed = signatures.standing(conn, authority, message, content, trusted, now=now)
    if not signatures.is_sufficient(signed, message, trusted):
        _refuse(conn, message, *_lacking(signed), now=now)
        return None
    taken = _take(conn, message, content, signed, authority, now=now)
    crash_here("in_claim")
    return taken


def _is_due(message: Message, now: int) -> bool:
    return message.state in ("approved", "retry") and (message.not_before_ms or 0) <= now


def _is_capped(conn: Connection, authority: Authority, now: int) -> bool:
    """Whether this hour's share has left already; the message then waits."""
    tries = conn.execute(
        select(func.count()).select_from(deliveries).where(deliveries.c.started_ms > now - HOUR_MS)
    ).scalar_one()
    return bool(tries >= authority.policy.limits.per_hour)


def _doubt(
    authority: Authority, message: Message, content: bytes, look: Look | None
) -> tuple[snapshots.State, str] | None:
    """Return (new state, why) when bytes, ticket, wish or destination are not what was signed for."""
    if canonical.sha256(content) != message.sha256:
        return "void", "the stored bytes are not the snapshot's"
    if why := why_void(message, look):
        return "void", why
    if look and look.row and look.row.asked != "send" and look.row.asked != message.asked:
        return taking.stopped(look.row, is_decided=True)
    try:
        if authority.policy.destination_sha256(message.channel) != message.destination_sha256:
            return "void", "gate.toml leads the channel elsewhere now; propose it again"
    except InvalidInput:
        return "void", "gate.toml has no such channel any more; propose it again"
    return None


def _lacking(found: signatures.Standing) -> tuple[snapshots.State, str]:
    """Return (new state, why) for a message without enough signatures that count."""
    if any("ran out" in fault for fault in found.faults):
        return "expired", "the approval ran out before it could be sent; sign again"
    return "pending", f"not enough signatures: {'; '.join(found.faults) or 'a person must sign'}"


def why_void(message: Message, look: Look | None) -> str:
    """Return why the desk's present state makes a message void, "" when it still fits."""
    if look is None or look.row is None:
        return "the proposal behind it is gone or unreadable"
    if look.row.sha256 != message.source_sha256:
        return "the proposal behind it was changed after its snapshot; propose it again"
    if why := taking.why_stale(look.row, look.facts):
        return why
    if message.kind == "reply" and (look.facts is None or (look.facts.address or "").strip() != message.recipient):
        return "the requester's address is another now; propose it again"
    return ""


def _refuse(conn: Connection, message: Message, to: snapshots.State, why: str, *, now: int) -> None:
    """Store why a message may not leave, and where it waits now."""
    snapshots.set_state(conn, message.number, to, why, now=now, expect=("approved", "retry"))
    audit.record(conn, "dispatcher", "message.refused", message.id, now=now, detail={"to": to, "why": why})


def _take(
    conn: Connection, message: Message, content: bytes, signed: signatures.Standing, authority: Authority, *, now: int
) -> Claim | None:
    """Commit to one try: fence and lease, the nonces in the ledger, a row in `deliveries`."""
    fence, lease = message.fence + 1, now + LEASE_MS
    won = conn.execute(
        update(messages)
        .where(messages.c.id == message.number, messages.c.state == message.state, messages.c.fence == message.fence)
        .values(
            state="sending", detail="", state_ms=now, fence=fence, lease_until_ms=lease, attempts=message.attempts + 1
        )
    ).rowcount
    if won != 1:
        return None
    signatures.spend(conn, signed.nonces, message, now=now)
    conn.execute(
        insert(deliveries).values(
            message_id=message.number, fence=fence, started_ms=now, sha256=message.sha256, detail=""
        )
    )
    detail = {"fence": fence, "sha256": message.sha256, "nonces": list(signed.nonces)}
    audit.record(conn, "dispatcher", "message.claimed", message.id, now=now, detail=detail)
    envelope = Envelope(
        message_id=message.id,
        version=message.version,
        kind=message.kind,
        recipient=message.recipient,
        sender=authority.policy.sender,
        event_id=message.event_id,
        content=content,
        now=now,
    )
    return Claim(message, envelope, fence, lease, signed.expires_ms)


# -- send --------------------------------------------------------------------------------------------------------------


def send(claim: Claim, authority: Authority, wire: Wire, clock: Callable[[], int]) -> Result:
    """Send what was claimed and say how it ended. Runs in a thread; no transaction is open.

    `clock` is asked once more just before: a process that slept past its lease must not send.
    """
    crash_here("after_claim")
    if clock() >= min(claim.lease_until_ms - _LONGEST_SEND_MS, claim.expires_ms):
        return Result("retry", "the process slept after its claim; nothing was sent")
    settings = authority.policy.channel(claim.message.channel)
    try:
        detail = outlet.send(claim.envelope, settings, wire)
    except SendFailed as failure:
        return _judge(failure, claim.message, authority, repeats=outlet.is_idempotent(settings))
    except Exception as error:  # a fault of ours in the middle of a send: what left is not known
        return Result("uncertain", f"the sender broke ({type(error).__name__})")
    crash_here("after_send")
    return Result("sent", detail)


def _judge(failure: SendFailed, message: Message, authority: Authority, *, repeats: bool) -> Result:
    """Return what a failed send means for the message."""
    if failure.maybe_sent and not repeats:
        return Result("uncertain", str(failure))
    if failure.permanent:
        return Result("failed", str(failure))
    if message.attempts + 1 >= authority.policy.limits.tries:
        return Result("failed", f"{failure}; gave up after {message.attempts + 1} tries")
    return Result("retry", str(failure), retry_after_ms=_backoff_ms(message.attempts, failure.retry_after_s))


def _backoff_ms(attempts: int, asked_s: float | None) -> int:
    """Return a wait with full jitter, never shorter than the other end asked for.

    Source: Brooker 2015, "Exponential Backoff And Jitter" (full jitter).
    """
    ceiling = min(FIRST_BACKOFF_MS * 2**attempts, LONGEST_BACKOFF_MS)
    asked_ms = int(min(max(asked_s or 0, 0), 24 * 3600) * 1000)
    return asked_ms + random.randint(0, ceiling)  # noqa: S311 - spreads retries, guards nothing


# -- record ------------------------------------------------------------------------------------------------------------


def mark(conn: Connection, claim: Claim, result: Result, *, now: int) -> bool:
    """Record how a try ended; False when the lease had run out and a person was asked meanwhile."""
    now = state.see(conn, now=now).now(now)
    message = claim.message
    _close_delivery(conn, message.number, claim.fence, result, now=now)
    won = conn.execute(
        update(messages)
        .where(messages.c.id == message.number, messages.c.fence == claim.fence, messages.c.state == "sending")
        .values(
            state=result.outcome,
            detail=result.detail,
            state_ms=now,
            lease_until_ms=None,
            not_before_ms=now + result.retry_after_ms if result.outcome == "retry" else None,
            mirrored=False,
        )
    ).rowcount
    crash_here("in_mark")
    action = f"message.{result.outcome}" if won else "message.late_result"
    detail = {"fence": claim.fence, "sha256": message.sha256, "outcome": result.outcome}
    audit.record(conn, "dispatcher", action, message.id, now=now, detail=detail)
    if result.outcome == "sent":
        _remember(conn, claim, now=now)
    if not won:
        _note_late(conn, message.number, result, now=now)
    elif result.outcome == "sent":
        signatures.close(conn, message)
    elif result.outcome == "failed":
        snapshots.void_signatures(conn, message.number)
    return won == 1


def _close_delivery(conn: Connection, number: int, fence: int, result: Result, *, now: int) -> None:
    conn.execute(
        update(deliveries)
        .where(deliveries.c.message_id == number, deliveries.c.fence == fence)
        .values(outcome=result.outcome, detail=result.detail, ended_ms=now)
    )


def _note_late(conn: Connection, number: int, result: Result, *, now: int) -> None:
    """Tell the person who must resolve an uncertain message what its sender reported after all."""
    conn.execute(
        update(messages)
        .where(messages.c.id == number, messages.c.state == "uncertain")
        .values(detail=f"its sender woke up late and reported: {result.outcome} ({result.detail})", state_ms=now)
    )


def _remember(conn: Connection, claim: Claim, *, now: int) -> None:
    """Add the recipient and the link hosts to what this gate has sent to and of before."""
    if claim.message.kind == "reply":
        _know(conn, claim.message.recipient.casefold(), now)
    read = compose.read(claim.envelope.content, claim.message.channel_kind, claim.message.kind)
    for host in {link.host for link in links.find(f"{read.title}\n{read.text}") if link.host}:
        if conn.execute(select(known_hosts.c.host).where(known_hosts.c.host == host)).first() is None:
            conn.execute(insert(known_hosts).values(host=host, first_sent_ms=now))


def _know(conn: Connection, address: str, now: int) -> None:
    won = conn.execute(update(recipients).where(recipients.c.address == address).values(last_sent_ms=now)).rowcount
    if not won:
        conn.execute(insert(recipients).values(address=address, first_sent_ms=now, last_sent_ms=now))


# -- the clock ---------------------------------------------------------------------------------------------------------


def has_run_out(conn: Connection, *, now: int) -> bool:
    """Whether a lease or an approval ran out: only then a turn needs to write."""
    now = state.read(conn).now(now)
    leases = select(messages.c.id).where(messages.c.state == "sending", messages.c.lease_until_ms <= now).limit(1)
    return conn.execute(leases).first() is not None or conn.execute(_ended(now).limit(1)).first() is not None


def _ended(now: int) -> Select[int]:
    return (
        select(messages.c.id)
        .join(approvals, approvals.c.message_id == messages.c.id)
        .where(
            messages.c.state.in_(("approved", "retry", "pending")),
            approvals.c.state == "valid",
            approvals.c.expires_ms <= now,
        )
        .distinct()
    )


def reap(conn: Connection, authority: Authority, *, now: int) -> int:
    """Take back claims whose lease ran out: their sender died or sleeps. Returns how many.

    A channel that drops repeats gets the message again under the same key; for all others it is `uncertain`.
    """
    now = state.see(conn, now=now).now(now)
    rows = conn.execute(
        select(messages.c.id, messages.c.fence).where(messages.c.state == "sending", messages.c.lease_until_ms <= now)
    ).all()
    for row in rows:
        message = snapshots.by_number(conn, row.id)
        repeats = message.channel in authority.policy.channels and outlet.is_idempotent(
            authority.policy.channel(message.channel)
        )
        to = "retry" if repeats else "uncertain"
        result = Result(to, f"the sender stopped in the middle. {what_to_look_for(message)}")
        conn.execute(
            update(messages)
            .where(messages.c.id == row.id, messages.c.fence == row.fence, messages.c.state == "sending")
            .values(
                state=to, detail=result.detail, state_ms=now, lease_until_ms=None, not_before_ms=None, mirrored=False
            )
        )
        _close_delivery(conn, row.id, row.fence, result, now=now)
        audit.record(
            conn, "dispatcher", f"message.{to}", message.id, now=now, detail={"fence": row.fence, "why": "lease"}
        )
    return len(rows)


def what_to_look_for(message: Message) -> str:
    """Return how a person can tell whether an uncertain message arrived."""
    where = {
        "smtp": f"Look in the mail server's log for Message-ID <{message.event_id}>.",
        "slack": f"Look in the channel for the message whose metadata id is {message.event_id}.",
        "webhook": f"Ask the receiver for webhook-id {message.event_id}.",
        "file": f"Look in gate/sent for {message.id}.v{message.version}.",
    }
    return where[message.channel_kind]


def expire(conn: Connection, *, now: int) -> int:
    """Let approvals end whose time ran out before the message left. Returns how many messages wait again."""
    now = state.see(conn, now=now).now(now)
    rows = conn.execute(_ended(now)).scalars().all()
    for number in rows:
        message = snapshots.by_number(conn, number)
        why = "the approval ran out before it could be sent; sign again"
        snapshots.set_state(conn, number, "expired", why, now=now)
        audit.record(conn, "dispatcher", "message.expired", message.id, now=now)
    return len(rows)
