"""Whether messages may leave, who may sign, and the gate's record."""

from dataclasses import asdict

from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp.console import records
from opspilot_mcp.console.door import Turn

_ROWS = 100
_RECORDS = ("gate", "desk")


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
    """GET /audit: a page of the gate's record, or the desk's; `check=1` verifies all of it, which changes nothing."""
    asked = turn.request.query_params
    wants_check, record, before = asked.get("check", ""), asked.get("of", "gate"), asked.get("before", "")
    is_place = before.isascii() and before.isdigit() and len(before) < 16
    if wants_check not in ("", "1") or record not in _RECORDS or not (is_place or not before):
        raise HTTPException(404, "There is no such page.")
    verdict = asdict(await turn.gate.verify_audit()) if wants_check else None
    read = turn.gate.db.read if record == "gate" else turn.door.desk
    page = await read(records.BY_NAME[record], before=int(before) if before else None, limit=_ROWS)
    return await turn.draw("audit.html", page=page, verdict=verdict, record=record, before=before)
