"""What the gate notes of the desk's record: its newest row, now and then, as a row of the gate's own record.

The desk's chain stands in a file the agents' side writes, so it cannot vouch for its own end. A row noted here can:
whoever cuts the desk's record before it, or writes the chain anew, disagrees with the gate's chain and checkpoints.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, select

from opspilot_mcp.clock import MINUTE_MS
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.gate import approvers, audit
from opspilot_mcp.gate.deskside import Desk
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.schema import audit as gate_audit
from opspilot_mcp.store.audit import head as desk_head
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.trail import Verdict

EVERY_MS = MINUTE_MS
_SUBJECT = "desk"
_MOST = 10**15
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LAST = (
    select(gate_audit.c.detail)
    .where(gate_audit.c.subject == _SUBJECT, gate_audit.c.action == audit.DESK_NOTED)
    .order_by(gate_audit.c.seq.desc())
    .limit(1)
)


@dataclass
class Notes:
    """Rows of the desk's record as the gate saw them: number to hash. `at_ms` is when the newest was noted."""

    held: dict[int, str] = field(default_factory=dict)
    at_ms: int = 0

    def take(self, row: Mapping[str, object]) -> None:
        """Keep what a row of the gate's record notes; of two notes of one row the first counts."""
        if row["action"] == audit.DESK_NOTED:
            with suppress(ValueError, KeyError, TypeError):  # a row past the checkpoints may be anybody's
                seq, digest = _noted(str(row["detail"]))
                self.held.setdefault(seq, digest)
                self.at_ms = int(str(row["at_ms"]))


async def take(db: Db, desk: Desk, *, now: int) -> bool:
    """Note the desk's newest row when it is another than the last one noted; returns whether it did.

    A desk that cannot be read is left.
    """
    try:
        found = await desk.read(newest)
    except OpsPilotError:
        return False
    if found is None or found == await db.read(last):
        return False
    return await db.write(note, found, now=now)


def newest(conn: Connection) -> tuple[int, str] | None:
    """Return the desk's newest row (the desk's connection); None where it has none, or one of another shape."""
    seq, digest = desk_head(conn)
    if type(seq) is not int or not 1 <= seq < _MOST:
        return None
    return (seq, digest) if isinstance(digest, str) and _HASH.fullmatch(digest) else None


def last(conn: Connection) -> tuple[int, str] | None:
    """Return the row noted last, None before the first."""
    detail = conn.execute(_LAST).scalar()
    return None if detail is None else _noted(detail)


def note(conn: Connection, found: tuple[int, str], *, now: int) -> bool:
    """Write a row of the desk's record into the gate's; False when another dispatcher just did."""
    if last(conn) == found:
        return False
    audit.record(conn, "gate", audit.DESK_NOTED, _SUBJECT, now=now, detail={"seq": found[0], "hash": found[1]})
    return True


def _noted(detail: str) -> tuple[int, str]:
    found = json.loads(detail)
    return int(found["seq"]), str(found["hash"])


def check(root: Path) -> tuple[Verdict, Notes]:
    """Check the gate's record without opening the gate, and return what it noted of the desk's.

    Raises BadSetting or StoreUnusable where there is no gate or a file of it is damaged, PermissionError where it is
    another user's.
    """
    home, notes = Home(root), Notes()
    public = approvers.load_root(home).checkpoint_key
    return audit.verify(home.gate_db, audit.Checkpoints(home), public, each=notes.take), notes
