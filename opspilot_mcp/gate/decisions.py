"""What a person decides, as room functions on the gate's connection. The terminal and the console stand on these.

Reading (any door, no sign-in needed in the function; the door decides who may look):
    pending(conn, limit=, after=)            what waits for a person, oldest first
    view(conn, authority, message_id)        one message drawn from its bytes: View
Deciding, safe direction (an actor's name is enough):
    reject(conn, message_id, by=, reason=, now=)
    hold(conn, message_id, by=, now=)        also undoes an approval inside its window
    kill(conn, by=, now=)
Deciding, the other direction (a live Session, whose key the approver's passphrase opened):
    approve(conn, authority, session, message_id, shown_sha256=, fresh=, typed_recipient=, now=)
    edit(conn, authority, session, message_id, words, look=, now=)
    edit_and_approve(conn, authority, session, message_id, words, look=, now=)
    lift(conn, authority, session, message_id, now=)
    resolve(conn, authority, session, message_id, was_sent=, now=)   uncertain or failed
    release(conn, authority, session, now=)                          ends a kill
    end_quarantine(conn, authority, session, now=)
    accept_clock(conn, authority, session, now=)                     after a clock that ran ahead was put right

`shown_sha256` is the digest of the bytes the person was shown: a signature is for those or for nothing. `fresh` says
that the passphrase was typed for this very decision. `approve` never raises after it has stored a signature.
The async methods of `service.Gate` with the same names run these in one transaction each and mirror the outcome.
"""

import difflib
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, update

from opspilot_mcp.errors import Conflict, IllegalMove, InvalidInput, NotAllowed
from opspilot_mcp.gate import approvers, audit, canonical, compose, signatures, snapshots, state, taking
from opspilot_mcp.gate.approvers import Approver, Session
from opspilot_mcp.gate.deskside import Look
from opspilot_mcp.gate.schema import messages
from opspilot_mcp.gate.signatures import Authority
from opspilot_mcp.gate.snapshots import OPEN, SIGNABLE, Message, State
from opspilot_mcp.proposals import MAX_BODY, MAX_TITLE

WAITING: tuple[State, ...] = ("pending", "expired", "held", "uncertain", "failed", "approved", "retry")
MAX_REASON = 500


class View(BaseModel):
    """One message as a person must see it: all of it, from the bytes that would be sent."""

    model_config = ConfigDict(frozen=True)

    message: Message
    headers: list[tuple[str, str]]
    title: str
    text: str
    size: int
    code: str
    difference: list[str]  # unified diff from the agent's draft; empty when nothing was changed
    signed_by: list[str]
    needed: int
    asks_for_recipient: bool  # one person alone signs high risk: passphrase again, recipient typed


class Wording(NamedTuple):
    """What a person wrote in place of the message they were shown."""

    title: str
    body: str
    shown_sha256: str


class Decision(BaseModel):
    """What came of a decision."""

    model_config = ConfigDict(frozen=True)

    message_id: str
    state: State
    signed_by: list[str]
    needed: int
    is_redundant: bool = False
    not_before_ms: int | None = None


# -- reading -----------------------------------------------------------------------------------------------------------


def pending(conn: Connection, *, limit: int = 20, after: int | None = None) -> list[Message]:
    """Return what waits for a person or can still be stopped, oldest first; `after` is a row number to page from."""
    return snapshots.in_state(conn, WAITING, limit=limit, after=after)


def view(conn: Connection, authority: Authority, message_id: str) -> View:
    """Return one message as it must be shown. Raises NotFound, or Conflict when its bytes are not the snapshot's."""
    message = snapshots.get(conn, message_id)
    content = _whole(conn, message)
    read = compose.read(content, message.channel_kind, message.kind)
    trusted = approvers.load(conn, authority.home, authority.root)
    wanted = signatures.needed(message, trusted)
    return View(
        message=message,
        headers=list(read.headers),
        title=read.title,
        text=read.text,
        size=len(content),
        code=compose.content_code(content),
        difference=_difference(snapshots.draft(conn, message.number), f"{read.title}\n\n{read.text}"),
        signed_by=signatures.names_of(conn, message.number),
        needed=wanted,
        asks_for_recipient=message.risk == "high" and wanted == 1,
    )


def _whole(conn: Connection, message: Message) -> bytes:
    content = snapshots.content(conn, message.number)
    if canonical.sha256(content) != message.sha256:
        raise Conflict(
            f"The bytes of {message.id} are not those of its snapshot. Reject it and check the gate's audit."
        )
    return content


def _difference(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(
        before.rstrip().split("\n"), after.rstrip().split("\n"), "as drafted", "to be sent", lineterm=""
    )
    return list(lines)


# -- the safe direction ------------------------------------------------------------------------------------------------


def reject(conn: Connection, message_id: str, *, by: str, reason: str, now: int) -> Decision:
    """Decide that a message will not be sent. Raises IllegalMove when it left or was decided."""
    if not reason.strip() or len(reason) > MAX_REASON:
        raise InvalidInput(f"Give a reason of 1 to {MAX_REASON} characters.")
    return _stop(conn, message_id, "rejected", f"rejected: {' '.join(reason.split())}", "message.rejected", by, now=now)


def hold(conn: Connection, message_id: str, *, by: str, now: int) -> Decision:
    """Stop a message until a person lifts the hold; its signatures are void. Also the undo of an approval."""
    return _stop(conn, message_id, "held", f"held by {by}", "message.held", by, now=now)


def _stop(conn: Connection, message_id: str, to: State, detail: str, action: str, by: str, *, now: int) -> Decision:
    message = snapshots.get(conn, message_id)
    expect = OPEN if to == "held" else (*OPEN, "failed")
    if not snapshots.set_state(conn, message.number, to, detail, now=now, expect=expect):
        raise IllegalMove(f"{message.id} is {message.state} and cannot be stopped any more.")
    audit.record(conn, by, action, message.id, now=now, detail={"version": message.version})
    return Decision(message_id=message.id, state=to, signed_by=[], needed=1)


def kill(conn: Connection, *, by: str, now: int) -> bool:
    """Stop everything at once; False when it was stopped already."""
    return state.kill(conn, by, now=now)


# -- the other direction: a signed-in person ---------------------------------------------------------------------------


def approve(
    conn: Connection,
    authority: Authority,
    session: Session,
    message_id: str,
    *,
    shown_sha256: str,
    fresh: bool = False,
    typed_recipient: str | None = None,
    now: int,
) -> Decision:
    """Sign the bytes that were shown; with enough signatures the message is approved and leaves after its window.

    Raises Conflict when the message is not the one shown, NotAllowed when this person may not sign it,
    IllegalMove when it is not waiting. A signature on a message already approved is kept as redundant.
    """
    message = snapshots.get(conn, message_id)
    now, trusted, me = _signer(conn, authority, session, now=now)
    _check_shown(conn, message, shown_sha256)
    if message.state in ("approved", "sending", "sent"):
        return _redundant(conn, authority, session, message, trusted, now=now)
    if message.state not in SIGNABLE:
        raise IllegalMove(
            f"{message.id} is {message.state}, not waiting for a signature. {_NEXT.get(message.state, '')}"
        )
    _check_may_sign(conn, authority, message, me, trusted)
    solo = _check_tier(message, trusted, fresh=fresh, typed_recipient=typed_recipient)
    signatures.sign(conn, authority, session, message, solo=solo, state="valid", now=now)
    detail = {"sha256": message.sha256, "version": message.version, "solo": solo, "key_id": me.key_id}
    audit.record(conn, f"person:{me.name}", "message.signed", message.id, now=now, detail=detail)
    return _count(conn, authority, message, trusted, now=now)


_NEXT = {
    "held": "A person lifts the hold first.",
    "uncertain": "Say first whether it arrived: `gate resolve`.",
    "failed": "See why it failed, then `gate resolve`.",
    "void": "Propose it again.",
    "rejected": "Propose it again.",
    "withdrawn": "Propose it again.",
}


def _signer(
    conn: Connection, authority: Authority, session: Session, *, now: int
) -> tuple[int, dict[str, Approver], Approver]:
    """Return the instant to decide by, the registered keys, and who signs. Raises NotAllowed."""
    now = state.see(conn, now=now).now(now)
    session.touch(now)
    trusted = approvers.load(conn, authority.home, authority.root)
    me = trusted.get(session.pair.key_id)
    if me is None or not me.is_active or me.name != session.name:
        raise NotAllowed("This key is not registered or was revoked. Ask another approver.")
    return now, trusted, me


def _check_shown(conn: Connection, message: Message, shown_sha256: str) -> None:
    _whole(conn, message)
    if message.sha256 != shown_sha256:
        raise Conflict(f"{message.id} is not what you were shown: version {message.version} is newer. Look again.")


def _check_may_sign(
    conn: Connection, authority: Authority, message: Message, me: Approver, trusted: dict[str, Approver]
) -> None:
    if why := state.read(conn).quarantine:
        raise NotAllowed(f"The gate is in quarantine: {why}. Look at what may have been sent, then end it.")
    if message.risk == "blocked":
        what = "a secret" if any(flag.code == "secret" for flag in message.flags) else "a mask meant for a model"
        raise NotAllowed(f"{message.id} holds {what}. Edit it out, then sign the new version.")
    if message.destination_sha256 != authority.policy.destination_sha256(message.channel):
        raise NotAllowed(f"gate.toml leads {message.channel} elsewhere now. Reject {message.id} and propose it again.")
    if len(approvers.active_names(trusted)) >= signatures.TWO and approvers.is_same_person(me.name, message.principal):
        raise NotAllowed("Whoever proposed a message may not sign it. Ask the other approver.")
    if me.name in signatures.names_of(conn, message.number):
        raise NotAllowed(f"{me.name} has signed {message.id} already: one person counts once.")


def _check_tier(message: Message, trusted: dict[str, Approver], *, fresh: bool, typed_recipient: str | None) -> bool:
    """Return whether this is one person's own high-risk approval. Raises NotAllowed when it asks for more."""
    if message.risk != "high" or signatures.needed(message, trusted) > 1:
        return False
    if not fresh:
        raise NotAllowed("High risk: type your passphrase again for this message.")
    if (typed_recipient or "").strip() != message.recipient:
        raise NotAllowed("High risk: type the recipient exactly as shown.")
    return True


def _count(
    conn: Connection, authority: Authority, message: Message, trusted: dict[str, Approver], *, now: int
) -> Decision:
    """Approve the message when enough signatures count now; else say how many are missing."""
    content = snapshots.content(conn, message.number)
    found = signatures.standing(conn, authority, message, content, trusted, now=now)
    wanted = signatures.needed(message, trusted)
    to: State = "pending"
    not_before: int | None = None
    detail = f"signed by {', '.join(found.signers)}: {len(found.signers)} of {wanted}"
    if signatures.is_sufficient(found, message, trusted):
        undo_ms = authority.policy.undo_ms(message.channel_kind)
        to, not_before = "approved", now + undo_ms if undo_ms else None
    conn.execute(
        update(messages)
        .where(messages.c.id == message.number)
        .values(state=to, detail=detail, state_ms=now, not_before_ms=not_before, mirrored=False)
    )
    return Decision(
        message_id=message.id, state=to, signed_by=list(found.signers), needed=wanted, not_before_ms=not_before
    )


def _redundant(
    conn: Connection,
    authority: Authority,
    session: Session,
    message: Message,
    trusted: dict[str, Approver],
    *,
    now: int,
) -> Decision:
    signatures.sign(conn, authority, session, message, solo=False, state="redundant", now=now)
    audit.record(conn, f"person:{session.name}", "message.signed_redundantly", message.id, now=now)
    return Decision(
        message_id=message.id,
        state=message.state,
        signed_by=signatures.names_of(conn, message.number),
        needed=signatures.needed(message, trusted),
        is_redundant=True,
        not_before_ms=message.not_before_ms,
    )


def edit(
    conn: Connection,
    authority: Authority,
    session: Session,
    message_id: str,
    words: Wording,
    *,
    look: Look | None,
    now: int,
) -> Message:
    """Store a person's own wording as a new version, to be signed; the old version can no longer be.

    `look` is what the desk says now. Raises Conflict when the message is not the one shown or the desk's row changed.
    """
    message = snapshots.get(conn, message_id)
    now, _, me = _signer(conn, authority, session, now=now)
    _check_shown(conn, message, words.shown_sha256)
    if message.state not in SIGNABLE:
        raise IllegalMove(f"{message.id} is {message.state} and cannot be edited. {_NEXT.get(message.state, '')}")
    if look is None or look.row is None or look.facts is None or look.row.sha256 != message.source_sha256:
        raise Conflict(f"The proposal behind {message.id} was changed. Reject it and propose it again.")
    if why := taking.why_stale(look.row, look.facts):
        raise Conflict(why)
    if not words.body.strip() or len(words.body) > MAX_BODY or len(words.title) > MAX_TITLE:
        raise InvalidInput(f"Write 1 to {MAX_BODY} characters, and a title of at most {MAX_TITLE}.")
    said = compose.Words(message.kind, message.subject, words.title, words.body)
    new = taking.edited(conn, message, look.row, look.facts, said, authority.policy, by=me.name, now=now)
    detail = {"version": new.version, "sha256": new.sha256}
    audit.record(conn, f"person:{me.name}", "message.edited", message.id, now=now, detail=detail)
    return new


def edit_and_approve(
    conn: Connection,
    authority: Authority,
    session: Session,
    message_id: str,
    words: Wording,
    *,
    look: Look | None,
    now: int,
) -> Decision:
    """Edit and sign in one step: the person wrote the words, so they have seen them.

    One person alone cannot sign high risk so: that asks for the passphrase and the recipient again.
    """
    new = edit(conn, authority, session, message_id, words, look=look, now=now)
    return approve(conn, authority, session, message_id, shown_sha256=new.sha256, now=now)


def lift(conn: Connection, authority: Authority, session: Session, message_id: str, *, now: int) -> Decision:
    """End a hold, or bring back what an agent withdrew: the message waits for a signature again."""
    expect: tuple[State, ...] = ("held", "withdrawn")
    return _back(conn, authority, session, message_id, expect, "brought back", "message.lifted", now=now)


def resolve(
    conn: Connection, authority: Authority, session: Session, message_id: str, *, was_sent: bool, now: int
) -> Decision:
    """Say what became of an uncertain or failed message: it arrived, or it did not and may be signed anew."""
    if not was_sent:
        expect: tuple[State, ...] = ("uncertain", "failed")
        return _back(conn, authority, session, message_id, expect, "did not arrive", "message.not_sent", now=now)
    message = snapshots.get(conn, message_id)
    now, _, me = _signer(conn, authority, session, now=now)
    said = f"{me.name} saw that it arrived"
    if not snapshots.set_state(conn, message.number, "sent", said, now=now, expect=("uncertain",)):
        raise IllegalMove(f"{message.id} is {message.state}, not uncertain.")
    signatures.close(conn, message)
    audit.record(conn, f"person:{me.name}", "message.seen_sent", message.id, now=now, detail={"sha256": message.sha256})
    return Decision(message_id=message.id, state="sent", signed_by=[], needed=1)


def _back(
    conn: Connection,
    authority: Authority,
    session: Session,
    message_id: str,
    expect: tuple[State, ...],
    detail: str,
    action: str,
    *,
    now: int,
) -> Decision:
    message = snapshots.get(conn, message_id)
    now, trusted, me = _signer(conn, authority, session, now=now)
    if not snapshots.set_state(conn, message.number, "pending", f"{detail}: {me.name}", now=now, expect=expect):
        raise IllegalMove(f"{message.id} is {message.state}, not {' or '.join(expect)}.")
    audit.record(conn, f"person:{me.name}", action, message.id, now=now)
    wanted = signatures.needed(message, trusted)
    return Decision(message_id=message.id, state="pending", signed_by=[], needed=wanted)


def release(conn: Connection, authority: Authority, session: Session, *, now: int) -> bool:
    """Let messages leave again after a kill; False when nothing was stopped."""
    now, _, me = _signer(conn, authority, session, now=now)
    return state.release(conn, f"person:{me.name}", now=now)


def accept_clock(conn: Connection, authority: Authority, session: Session, *, now: int) -> bool:
    """Put the high-water mark back to `now`; False when it is not ahead.

    Every signature in force is void, so that none comes to life again.
    """
    standing = state.read(conn)
    if now >= standing.high_water_ms:
        return False
    _, _, me = _signer(conn, authority, session, now=now)
    for message in snapshots.in_state(conn, ("approved", "retry", "pending"), limit=100_000):
        snapshots.set_state(conn, message.number, "pending", "the clock was set back; sign again", now=now)
    state.set_clock(conn, f"person:{me.name}", now=now)
    return True


def end_quarantine(conn: Connection, authority: Authority, session: Session, *, now: int) -> bool:
    """End the quarantine after a restore; False when there was none."""
    now, _, me = _signer(conn, authority, session, now=now)
    if state.read(conn).quarantine is None:
        return False
    state.set_quarantine(conn, None, f"person:{me.name}", now=now)
    return True
