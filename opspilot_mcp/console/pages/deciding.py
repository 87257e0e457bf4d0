"""What a person decides with a button. Each is the gate's own decision; a refusal is shown on the message's page."""

from collections.abc import Awaitable, Callable

from starlette.responses import Response

from opspilot_mcp import clock
from opspilot_mcp.console.door import Page, Turn
from opspilot_mcp.console.pages.approvals import message_page
from opspilot_mcp.errors import NotAllowed, OpsPilotError
from opspilot_mcp.gate import deskside, dispatch, snapshots
from opspilot_mcp.gate.approvers import Session
from opspilot_mcp.gate.decisions import Decision

Decide = Callable[[Turn, str], Awaitable[str]]


def deciding(decide: Decide) -> Page:
    """Make a page of a decision on one message: it says what came of it, or why it was refused."""

    async def page(turn: Turn) -> Response:
        message_id = turn.request.path_params["id"]
        try:
            await _follow(turn, message_id)
            notice = await decide(turn, message_id)
        except OpsPilotError as error:
            return await message_page(turn, message_id, status=409, problem=str(error), typed=_kept(turn.form))
        return turn.go(f"/messages/{message_id}", notice)

    return page


async def _follow(turn: Turn, message_id: str) -> None:
    """Take over what the desk says now about this message, so that nobody signs one withdrawn a moment ago."""
    message = await turn.gate.db.read(snapshots.get, message_id)
    try:
        look = (await turn.door.desk(deskside.look_at, [message.proposal])).get(message.proposal)
        has_moved = look is None or look.row is None or look.row.asked != message.asked
        if has_moved or dispatch.why_void(message, look):
            # Costly with many open messages, so only when this one needs it; the dispatcher does it every turn.
            await turn.gate.sync(now=turn.door.now())
    except OpsPilotError:
        # Without a desk nothing is sent either: the dispatcher asks the desk again before it claims.
        return


def _kept(form: dict[str, str]) -> dict[str, str]:
    """Return what was typed, to be shown again; never a passphrase."""
    return {name: form[name] for name in ("title", "body", "reason", "recipient") if name in form}


async def _signer(turn: Turn) -> tuple[Session, bool]:
    """Return who signs and whether the passphrase was typed for this decision."""
    passphrase = turn.form.get("passphrase", "")
    if not passphrase:
        return turn.session, False
    return await turn.door.sign_in(turn.session.name, passphrase), True


async def approve(turn: Turn, message_id: str) -> str:
    """Sign the bytes that were on the page."""
    session, fresh = await _signer(turn)
    decision = await turn.gate.approve_as(
        session,
        message_id,
        shown_sha256=turn.form.get("sha256", ""),
        fresh=fresh,
        typed_recipient=turn.form.get("recipient"),
        now=turn.door.now(),
    )
    return signed(decision, now=turn.door.now())


def signed(decision: Decision, *, now: int) -> str:
    """Return what came of a signature, in one sentence."""
    if decision.is_redundant:
        return "It was signed already. Your signature is kept beside it and changes nothing."
    if decision.state != "approved":
        return (
            f"Your signature is stored: {len(decision.signed_by)} of {decision.needed}. Another person must sign too."
        )
    left = (decision.not_before_ms or now) - now
    return "Signed. " + (f"It leaves in {clock.human_span(left)}; until then you can undo it." if left > 0 else _SOON)


_SOON = "It leaves as soon as the dispatcher takes it."


async def edit(turn: Turn, message_id: str) -> str:
    """Store the person's wording as a new version; with `sign` in the form, sign it in the same transaction."""
    title, body = turn.form.get("title", ""), turn.form.get("body", "").replace("\r\n", "\n")
    sha256, now = turn.form.get("sha256", ""), turn.door.now()
    if turn.form.get("then") != "sign":
        new = await turn.gate.edit(turn.session, message_id, title=title, body=body, shown_sha256=sha256, now=now)
        return f"Version {new.version} is stored. Read it, then sign it."
    try:
        decision = await turn.gate.edit_and_approve(
            turn.session, message_id, title=title, body=body, shown_sha256=sha256, now=now
        )
    except NotAllowed as error:
        raise NotAllowed(f"{error} Nothing was stored; save the wording to look at it first.") from None
    return signed(decision, now=now)


async def reject(turn: Turn, message_id: str) -> str:
    """Decide that it will not be sent."""
    await turn.gate.reject(message_id, by=turn.by, reason=turn.form.get("reason", ""), now=turn.door.now())
    return "Rejected. It will not be sent, and the agent reads your reason."


async def hold(turn: Turn, message_id: str) -> str:
    """Stop it until somebody lifts the hold; also the undo of a signature."""
    await turn.gate.hold(message_id, by=turn.by, now=turn.door.now())
    return "Held. Nothing is sent until a person lifts the hold; earlier signatures are void."


async def lift(turn: Turn, message_id: str) -> str:
    """End a hold."""
    await turn.gate.lift(turn.session, message_id, now=turn.door.now())
    return "The message waits for a signature again."


async def resolve(turn: Turn, message_id: str) -> str:
    """Say what became of an uncertain or failed message."""
    was_sent = turn.form.get("arrived") == "yes"
    await turn.gate.resolve(turn.session, message_id, was_sent=was_sent, now=turn.door.now())
    return "Recorded as sent." if was_sent else "Recorded: it did not arrive. It waits for a signature again."


BY_NAME: dict[str, Decide] = {
    "approve": approve,
    "edit": edit,
    "reject": reject,
    "hold": hold,
    "lift": lift,
    "resolve": resolve,
}
