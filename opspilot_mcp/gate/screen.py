"""What a terminal shows of a message: all of it, drawn from the snapshot's bytes, in characters that cannot steer."""

import os
import re
import stat

from opspilot_mcp import clock
from opspilot_mcp.gate.decisions import Decision, View
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.snapshots import Message
from opspilot_mcp.gate.state import Standing
from opspilot_mcp.store.trail import Verdict

_STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u061c\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e01ef]"
)
_RULE = "-" * 72


def safe(text: str) -> str:
    """Return text whose control, bidi and invisible characters are written out, so that a terminal obeys none."""
    return _STEERS.sub(lambda found: f"<U+{ord(found.group()):04X}>", text)


def line(message: Message) -> str:
    """Return one message as one line of the list."""
    risk = {"normal": "", "high": "HIGH RISK", "blocked": "BLOCKED"}[message.risk]
    return f"{message.id:<8} v{message.version}  {message.state:<9} {message.subject:<9} to {message.recipient}  {risk}"


def whole(view: View) -> str:
    """Return everything a person must see before signing."""
    message = view.message
    parts = [
        f"{message.id} version {message.version}, {message.kind} for {message.subject}: {message.state}"
        + (f" ({message.detail})" if message.detail else ""),
        f"Recipient: {message.recipient}",
        f"Channel:   {message.channel} ({message.channel_kind})",
        f"Proposed by {message.principal} at {clock.iso(message.created_ms)}",
        f"SHA-256 of the {view.size} bytes to send: {message.sha256}",
        f"Content code: {view.code}",
        *(f"Warning: {warning}" for warning in message.warnings),
        *(f"{_MARK[flag.level]} {flag.text}" for flag in message.flags),
        _signing(view),
        _RULE,
        *(f"{name}: {value}" for name, value in view.headers),
        "",
        view.text,
        f"{_RULE} end of the message",
    ]
    if view.difference:
        parts += ["Difference to the agent's draft:", *view.difference, _RULE]
    return "\n".join(parts)


_MARK = {"note": "Note:", "high": "HIGH RISK:", "block": "BLOCKED:"}


def _signing(view: View) -> str:
    have = f"signed by {', '.join(view.signed_by)}; " if view.signed_by else ""
    people = "two people must sign" if view.needed > 1 else "one person signs"
    return f"Signatures: {have}{people}"


def decided(decision: Decision) -> str:
    """Return what came of a decision."""
    if decision.is_redundant:
        return f"{decision.message_id} was signed already; your signature is kept beside it, and changes nothing."
    if decision.state == "approved":
        when = f" Not before {clock.iso(decision.not_before_ms)}." if decision.not_before_ms else ""
        return f"{decision.message_id} is approved and waits for the dispatcher; it is not sent yet.{when}"
    if decision.signed_by:
        return f"{decision.message_id} has {len(decision.signed_by)} of {decision.needed} signatures."
    return f"{decision.message_id} is {decision.state}."


def verdict(found: Verdict) -> str:
    """Return the outcome of `audit verify`."""
    if found.first_bad is None:
        return f"{found.rows} rows, {found.checkpointed} checkpointed: {found.why}."
    return f"First bad row: {found.first_bad}: {found.why}. Stop the gate and compare with a backup."


def standing(found: Standing, counts: dict[str, int], level: str, *, is_running: bool) -> str:
    """Return `gate status`. `is_running` is whether a dispatcher was seen: without one, nothing leaves."""
    switch = "open: signed messages may leave"
    if not is_running:
        switch += ", but no dispatcher runs. Start it with: opspilot-mcp gate run"
    if found.killed_by:
        switch = f"KILLED by {found.killed_by}: nothing leaves. opspilot-mcp gate release lets messages leave again"
    if found.quarantine:
        switch = f"QUARANTINE: {found.quarantine}. Look at uncertain messages, then opspilot-mcp gate release"
    waiting = ", ".join(f"{number} {name}" for name, number in counts.items()) or "nothing yet"
    return f"Gate {found.instance[:12]}: {switch}\nMessages: {waiting}\n{level}"


def isolation(home: Home) -> str:
    """Return, honestly, how well this gate is kept apart from the agents' process.

    L0: the desk belongs to the same user, so an agent with a shell can read and replace anything. L1: another user's
    desk in a shared folder, a gate folder nobody else can enter.
    """
    own = home.gate.stat()
    is_closed = own.st_uid == os.geteuid() and not stat.S_IMODE(own.st_mode) & 0o077
    desk = home.root.stat()
    is_shared = bool(desk.st_mode & stat.S_ISGID and desk.st_mode & stat.S_IWGRP)
    is_other = home.desk_db.exists() and home.desk_db.stat().st_uid != own.st_uid
    if is_closed and is_shared and is_other and own.st_uid != 0:
        words = "Isolation L1: the gate runs as its own user; the agents' user cannot read its folder."
        if not desk.st_mode & stat.S_ISVTX:
            words += f"\nThe agents' user could rename it, though, or replace policy.toml. Run: chmod 3770 {home.root}"
        return words
    return (
        "Isolation L0: agents and gate run as the same user. An agent WITH A SHELL could read the gate's files, its\n"
        "database and its memory; signatures still bind what is sent. docs/gate.md shows the way to L1: an own user\n"
        "for the gate, the desk's folder 3770 with a shared group."
    )
