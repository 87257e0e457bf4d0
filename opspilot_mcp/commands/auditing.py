"""`audit verify`: the desk's record and the gate's, each checked row by row, and what nobody can know of them."""

from dataclasses import asdict, dataclass, field
from typing import Any

from cyclopts import App

from opspilot_mcp import clock, settings
from opspilot_mcp.commands import printing
from opspilot_mcp.commands.options import Home, Json
from opspilot_mcp.errors import BadSetting, OpsPilotError
from opspilot_mcp.settings import Settings
from opspilot_mcp.store import trail
from opspilot_mcp.store.chain import Walk
from opspilot_mcp.store.schema import DESK
from opspilot_mcp.store.trail import Verdict

app = App(name="audit", help="The desk's record and the gate's: verify.")


@dataclass(frozen=True)
class Side:
    """One record: its verdict, None where it could not be checked, then `trouble` says why; `unknown` is what stays
    open although no row is bad.
    """

    verdict: Verdict | None = None
    trouble: str = ""
    unknown: list[str] = field(default_factory=list)
    is_bad: bool = False


@app.command
def verify(
    *,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Check both records row by row; exit code 1 names the first bad row and why."""
    found = settings.load(home=home)
    if not found.desk_db.exists() and not found.gate_home.exists():
        raise BadSetting(f"There is no desk and no gate in {found.home}. Name the right folder with --home.")
    gate, held, at_ms = _gate(found)
    desk = _desk(found, gate, held, at_ms)
    if as_json:
        printing.as_json({"sound": not (desk.is_bad or gate.is_bad), "desk": _told(desk), "gate": _told(gate)})
    else:
        printing.console().print(f"desk  {_line(desk, 'noted by the gate')}", soft_wrap=True, markup=False)
        printing.console().print(f"gate  {_line(gate, 'under signed checkpoints')}", soft_wrap=True, markup=False)
    return int(desk.is_bad or gate.is_bad)


def _gate(found: Settings) -> tuple[Side, dict[int, str], int]:
    """Return the gate's side, and which rows of the desk it noted, the newest of them when."""
    if not found.gate_home.exists():
        return Side(trouble="There is no gate here yet. Make one with: opspilot-mcp gate init"), {}, 0
    from opspilot_mcp.gate import anchors

    try:
        verdict, notes = anchors.check(found.home)
    except PermissionError:
        words = "It belongs to another user. Run this as the user the gate runs as to check it."
        return Side(trouble=words), {}, 0
    except OpsPilotError as error:
        return Side(trouble=str(error), is_bad=True), {}, 0
    newer = verdict.head[0] - verdict.checkpointed
    unknown = [] if newer <= 0 else [f"{printing.counted(newer, 'row')} after the last checkpoint may have been cut."]
    side = Side(verdict, unknown=unknown if verdict.first_bad is None else [], is_bad=verdict.first_bad is not None)
    return side, notes.held, notes.at_ms


def _desk(found: Settings, gate: Side, held: dict[int, str], at_ms: int) -> Side:
    if not found.desk_db.exists():
        lost = f"There is no desk.db, and the gate noted row {max(held)} of it. Restore a backup." if held else ""
        return Side(trouble=lost or "There is no desk.db yet.", is_bad=bool(held))
    try:
        verdict = trail.verify(found.desk_db, Walk(held, held_word="noted by the gate"), DESK)
    except OpsPilotError as error:
        return Side(trouble=str(error), is_bad=True)
    if verdict.first_bad is not None:
        return Side(verdict, is_bad=True)
    return Side(verdict, unknown=_open_questions(verdict, gate, at_ms))


def _open_questions(verdict: Verdict, gate: Side, at_ms: int) -> list[str]:
    """Say what a good desk record cannot show."""
    if gate.verdict is None:
        return ["Nothing outside desk.db was asked: a cut end, or a record written anew as a whole, would not show."]
    unknown = ["The gate's own record is bad, so that its notes prove nothing."] if gate.is_bad else []
    first, last = verdict.checkpointed + 1, verdict.head[0]
    if first <= last:
        noted = (
            f"The gate noted row {verdict.checkpointed} last, {clock.iso(at_ms)}" if at_ms else "The gate noted none"
        )
        which = f"row {first} is" if first == last else f"rows {first} to {last} are"
        unknown.append(f"{noted}; {which} newer, and a change of all that is newer would not show.")
    return unknown


def _line(side: Side, vouched: str) -> str:
    if side.verdict is None:
        return side.trouble
    found = side.verdict
    if found.first_bad is not None:
        return f"First bad row: {found.first_bad}: {found.why}. Stop opspilot-mcp and compare with a backup."
    counted = f"{printing.counted(found.rows, 'row')}, up to row {found.checkpointed} {vouched}: {found.why}."
    return " ".join([counted, *side.unknown])


def _told(side: Side) -> dict[str, Any]:
    verdict = asdict(side.verdict) if side.verdict else None
    return {"verdict": verdict, "trouble": side.trouble or None, "unknown": side.unknown}
