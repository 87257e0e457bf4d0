"""A person's signature over one message: what is signed, and whether a stored signature still counts.

The dispatcher believes nothing but this: state columns say what to try, signatures decide whether it may leave.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from opspilot_mcp.gate import approvers, audit, canonical, keys
from opspilot_mcp.gate.approvers import Approver, Root, Session
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.policy import GatePolicy
from opspilot_mcp.gate.schema import approvals, nonces
from opspilot_mcp.gate.snapshots import Message

PURPOSE = "opspilot.approval.v1"
TWO = 2


@dataclass(frozen=True)
class Authority:
    """Who may decide here: the pinned root, the settings in force, and where the keys lie."""

    home: Home
    root: Root
    policy: GatePolicy


@dataclass(frozen=True)
class Standing:
    """The signatures on a message that count now, and what the others lack."""

    signers: tuple[str, ...]
    is_solo: bool
    nonces: tuple[str, ...]
    faults: tuple[str, ...]
    expires_ms: int = 0  # when the first of them ends


def needed(message: Message, trusted: Mapping[str, Approver]) -> int:
    """Return how many people must sign: two for a high-risk message where two are registered."""
    return TWO if message.risk == "high" and len(approvers.active_names(trusted)) >= TWO else 1


def sign(
    conn: Connection, authority: Authority, session: Session, message: Message, *, solo: bool, state: str, now: int
) -> None:
    """Store the session's signature over a message: its bytes, recipient, channel, and until when it holds."""
    payload = canonical.text(_payload(conn, authority, session, message, solo=solo, now=now))
    signed = json.loads(payload)
    conn.execute(
        insert(approvals).values(
            message_id=message.number,
            approver=session.name,
            key_id=session.pair.key_id,
            payload=payload,
            signature=session.pair.sign(PURPOSE, payload),
            nonce=signed["nonce"],
            expires_ms=signed["expires_ms"],
            state=state,
        )
    )


def _payload(
    conn: Connection, authority: Authority, session: Session, message: Message, *, solo: bool, now: int
) -> dict[str, object]:
    seq, head = audit.head(conn)
    return {
        "purpose": PURPOSE,
        "instance": authority.root.instance,
        "message": message.id,
        "version": message.version,
        "sha256": message.sha256,
        "channel": message.channel,
        "destination_sha256": message.destination_sha256,
        "recipients": [message.recipient],
        "risk": message.risk,
        "solo": solo,
        "approver": session.name,
        "key_id": session.pair.key_id,
        "nonce": secrets.token_hex(16),
        "issued_ms": now,
        "expires_ms": now + authority.policy.expires_ms,
        "audit_head": f"{seq}:{head}",
    }


def standing(
    conn: Connection,
    authority: Authority,
    message: Message,
    content: bytes,
    trusted: Mapping[str, Approver],
    *,
    now: int,
) -> Standing:
    """Check every signature in force on a message against its bytes, the keys and the clock."""
    rows = conn.execute(
        select(approvals).where(approvals.c.message_id == message.number, approvals.c.state == "valid")
    ).mappings()
    good: dict[str, Mapping[str, object]] = {}
    faults = []
    for row in rows.all():
        fault, payload = _check(conn, authority, message, content, trusted, dict(row), now=now)
        if fault:
            faults.append(fault)
        else:
            good[str(payload["approver"])] = payload  # two keys of one person count once
    return Standing(
        signers=tuple(sorted(good)),
        is_solo=any(payload["solo"] is True for payload in good.values()),
        nonces=tuple(str(payload["nonce"]) for payload in good.values()),
        faults=tuple(faults),
        expires_ms=min((int(str(payload["expires_ms"])) for payload in good.values()), default=0),
    )


def _check(
    conn: Connection,
    authority: Authority,
    message: Message,
    content: bytes,
    trusted: Mapping[str, Approver],
    row: Mapping[str, object],
    *,
    now: int,
) -> tuple[str, Mapping[str, object]]:
    """Return (what is wrong, payload); "" when the signature counts."""
    approver = trusted.get(str(row["key_id"]))
    if approver is None:
        return "signed with a key that is not registered", {}
    if not approver.is_active:
        return "signed with a revoked key", {}
    payload_text = str(row["payload"])
    if not keys.verifies(approver.public_key, PURPOSE, payload_text, str(row["signature"])):
        return "not a signature of that key", {}
    payload: dict[str, object] = json.loads(payload_text)
    if payload_text != canonical.text(payload):
        return "not in the one form that is signed", {}
    for name, wanted in _wanted(authority, message, content, approver).items():
        if payload.get(name) != wanted:
            return f"signed for another {name.removesuffix('_sha256').removesuffix('s')}", {}
    if not int(str(payload["issued_ms"])) <= now < int(str(payload["expires_ms"])):
        return "no longer valid: the time to send ran out", {}
    if _spent_elsewhere(conn, str(payload["nonce"]), message):
        return "used before", {}
    if len(approvers.active_names(trusted)) >= TWO and approvers.is_same_person(approver.name, message.principal):
        return "signed by whoever proposed it", {}
    return "", payload


def _wanted(authority: Authority, message: Message, content: bytes, approver: Approver) -> dict[str, object]:
    """Return what a payload must say to count for this message, as things stand now."""
    return {
        "purpose": PURPOSE,
        "instance": authority.root.instance,
        "message": message.id,
        "version": message.version,
        "sha256": canonical.sha256(content),
        "channel": message.channel,
        "destination_sha256": authority.policy.destination_sha256(message.channel),
        "recipients": [message.recipient],
        "risk": message.risk,
        "approver": approver.name,
        "key_id": approver.key_id,
    }


def _spent_elsewhere(conn: Connection, nonce: str, message: Message) -> bool:
    """Whether the nonce was spent, other than by an earlier try of this message known not to have left."""
    spent = conn.execute(select(nonces.c.message_id).where(nonces.c.nonce == nonce)).scalar()
    return spent is not None and not (spent == message.number and message.state == "retry")


def spend(conn: Connection, found: tuple[str, ...], message: Message, *, now: int) -> None:
    """Write the nonces into the ledger; a second try of the same message finds its own there."""
    for nonce in found:
        if conn.execute(select(nonces.c.nonce).where(nonces.c.nonce == nonce)).first() is None:
            conn.execute(insert(nonces).values(nonce=nonce, message_id=message.number, at_ms=now))


def close(conn: Connection, message: Message) -> None:
    """Mark the signatures of a sent message as used."""
    conn.execute(
        update(approvals)
        .where(approvals.c.message_id == message.number, approvals.c.state == "valid")
        .values(state="spent")
    )


def is_sufficient(found: Standing, message: Message, trusted: Mapping[str, Approver]) -> bool:
    """Whether the signatures that count are enough for the message's tier."""
    if message.risk == "blocked":
        return False
    wanted = needed(message, trusted)
    if message.risk == "high" and wanted == 1:
        return bool(found.signers) and found.is_solo
    return len(found.signers) >= wanted


def names_of(conn: Connection, number: int) -> list[str]:
    """Return who has a signature in force on a message, for showing."""
    rows = conn.execute(
        select(approvals.c.approver).where(approvals.c.message_id == number, approvals.c.state == "valid")
    )
    return sorted(set(rows.scalars()))
