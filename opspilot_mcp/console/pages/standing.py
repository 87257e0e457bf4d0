"""Whether messages may leave, who may sign, and the gate's record."""

from dataclasses import asdict

from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp.console.door import Turn
from opspilot_mcp.gate import audit

_ROWS = 100


async def show_gate(turn: Turn) -> Response:
    """GET /gate."""
    return await turn.draw("gate.html", people=await turn.gate.approvers(), policy=turn.gate.authority.policy)


async def kill(turn: Turn) -> Response:
    """POST /gate/kill: stop everything at once."""
    was_running = await turn.gate.kill(by=turn.by, now=turn.door.now())
    return turn.go("/gate", "Nothing leaves any more." if was_running else "It was stopped already.")


async def release(turn: Turn) -> Response:
    """POST /gate/release: let messages leave again after a kill."""
    released = await turn.gate.release(turn.session, now=turn.door.now())
    return turn.go("/gate", "Signed messages may leave again." if released else "Nothing was stopped.")


async def end_quarantine(turn: Turn) -> Response:
    """POST /gate/end-quarantine: after a restore, once a person has looked at what may have been sent."""
    ended = await turn.gate.end_quarantine(turn.session, now=turn.door.now())
    return turn.go("/gate", "The quarantine is over." if ended else "There was no quarantine.")


async def show_audit(turn: Turn) -> Response:
    """GET /audit: the newest rows; with `check=1` the whole record is verified, which changes nothing."""
    wants_check = turn.request.query_params.get("check", "")
    if wants_check not in ("", "1"):
        raise HTTPException(404, "There is no such page.")
    verdict = asdict(await turn.gate.verify_audit()) if wants_check else None
    rows = await turn.gate.db.read(audit.newest, limit=_ROWS)
    return await turn.draw("audit.html", rows=rows, verdict=verdict)
