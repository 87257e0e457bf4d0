"""Whether messages may leave, who may sign, and the gate's record."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp.console import records
from opspilot_mcp.console.door import Turn
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.gate import anchors, audit
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store import trail
from opspilot_mcp.store.chain import Walk
from opspilot_mcp.store.schema import DESK
from opspilot_mcp.store.trail import Verdict

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
    verdicts = await asyncio.to_thread(_verdicts, turn.gate) if wants_check else []
    read = turn.gate.db.read if record == "gate" else turn.door.desk
    page = await read(records.BY_NAME[record], before=int(before) if before else None, limit=_ROWS)
    return await turn.draw("audit.html", page=page, verdicts=verdicts, record=record, before=before)


def _verdicts(gate: Gate) -> list[tuple[str, Verdict | str]]:
    """Return what each record comes to, or why it cannot be checked; the desk's is held against the gate's notes."""
    try:
        notes = anchors.Notes()
        own = audit.verify(gate.home.gate_db, gate.checkpoints, gate.authority.root.checkpoint_key, each=notes.take)
        walk = Walk(notes.held, held_word="noted by the gate")
        return [("gate", own), ("desk", trail.verify(gate.home.desk_db, walk, DESK))]
    except OpsPilotError as error:
        return [("record", str(error))]
