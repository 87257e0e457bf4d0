"""The gate's record: each row carries the hash of the row before, and signed checkpoints stand outside the file.

A change to an old row breaks the chain at that row. Cutting the tail, or writing the whole chain anew, disagrees
with `checkpoints/log.jsonl`, where every row's hash is repeated under the gate's own key. An approver's signature
names the head of the chain as well.
"""

import fcntl
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from opspilot_mcp.gate import canonical, keys
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.schema import GATE, audit
from opspilot_mcp.store import chain, trail
from opspilot_mcp.store.chain import Walk
from opspilot_mcp.store.trail import Verdict

PURPOSE = "opspilot.checkpoint.v1"
DESK_NOTED = "desk.noted"
_BATCH = 500

_INSERT = insert(audit)
_HEAD = select(audit.c.seq, audit.c.hash).order_by(audit.c.seq.desc()).limit(1)
_SINCE = select(audit.c.seq, audit.c.hash).where(audit.c.seq > bindparam("after")).order_by(audit.c.seq).limit(_BATCH)


def record(
    conn: Connection, actor: str, action: str, subject: str, *, now: int, detail: Mapping[str, object] | None = None
) -> None:
    """Append one row to the chain, in the caller's transaction. `detail` holds our words and digests only."""
    conn.execute(_INSERT, chain.linked(head(conn), actor, action, subject, detail or {}, now=now))


def head(conn: Connection) -> tuple[int, str]:
    """Return the newest row's number and hash; (0, zeros) before the first."""
    found = conn.execute(_HEAD).first()
    return (found.seq, found.hash) if found else (0, chain.START)


def rows_after(conn: Connection, after: int) -> list[tuple[int, str]]:
    """Return up to 500 (number, hash) past `after`, in order: what the next checkpoint will hold."""
    return [(row.seq, row.hash) for row in conn.execute(_SINCE, {"after": after})]


def newest(conn: Connection, *, limit: int = 100, subject: str | None = None) -> list[dict[str, object]]:
    """Return the newest rows, newest first, for reading: without the notes of the desk's record, one a minute."""
    query = select(audit).where(audit.c.action != DESK_NOTED).order_by(audit.c.seq.desc()).limit(limit)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    return [dict(row) for row in conn.execute(query).mappings()]


# -- checkpoints -------------------------------------------------------------------------------------------------------


class Checkpoints:
    """The file of signed row hashes. Every process of the gate may extend it; a file lock keeps them in line."""

    def __init__(self, home: Home) -> None:
        self.path = home.checkpoints / "log.jsonl"
        self._key = home.checkpoint_key

    def last(self) -> tuple[int, str]:
        """Return the last audit row a checkpoint holds and its hash; (0, "") when there is none."""
        line = _last_line(self.path)
        if not line:
            return 0, ""
        payload = json.loads(line)["payload"]
        return int(payload["to"]), str(payload["hashes"][-1])

    def extend(self, rows: Sequence[tuple[int, str]], *, now: int) -> None:
        """Append one signed line for those of `rows` that follow the last checkpoint."""
        with self.path.open("ab") as file:
            os.fchmod(file.fileno(), 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            _mend(self.path, file.fileno())
            after = self.last()[0]
            new = [row for row in rows if row[0] > after]
            if not new or new[0][0] != after + 1:
                return
            payload = {"from": new[0][0], "to": new[-1][0], "hashes": [row[1] for row in new], "at_ms": now}
            signature = keys.from_raw(self._key.read_bytes()).sign(PURPOSE, canonical.text(payload))
            file.write(canonical.text({"payload": payload, "signature": signature}).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def hashes(self, public: bytes) -> tuple[dict[int, str], str]:
        """Return every row hash under a good signature, and what is wrong with the file ("" when nothing is)."""
        found: dict[int, str] = {}
        lines = self.path.read_bytes().splitlines() if self.path.exists() else []
        for at, line in enumerate(lines, 1):
            payload = _checked(line, public)
            if payload is None or payload["from"] != len(found) + 1 or len(payload["hashes"]) != _span(payload):
                return found, f"checkpoint line {at} is not the gate's"
            found.update(zip(range(payload["from"], payload["to"] + 1), payload["hashes"], strict=True))
        return found, ""


def _mend(path: Path, handle: int) -> None:
    """Cut off a line torn by a crash, so that the next one starts clean. Its rows are still in the database."""
    whole = path.read_bytes().rfind(b"\n") + 1 if path.stat().st_size else 0
    if whole != path.stat().st_size:
        os.ftruncate(handle, whole)


def _checked(line: bytes, public: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
        good = keys.verifies(public, PURPOSE, canonical.text(entry["payload"]), entry["signature"])
    except (ValueError, KeyError, TypeError):
        return None
    return entry["payload"] if good else None


def _span(payload: Mapping[str, object]) -> int:
    return int(str(payload["to"])) - int(str(payload["from"])) + 1


def _last_line(path: Path) -> bytes:
    """Return the last whole line; a line torn by a crash is left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 65_536))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return b""
    return lines[-2] if len(lines) >= 2 else b""


# -- verify ------------------------------------------------------------------------------------------------------------


def verify(
    path: Path, checkpoints: Checkpoints, public: bytes, *, each: Callable[[Mapping[str, object]], None] | None = None
) -> Verdict:
    """Check the gate's whole record against itself and against the checkpoints; the first bad row is named.

    `each` is given every good row, in order.
    """
    held, fault = checkpoints.hashes(public)
    found = trail.verify(path, Walk(held), GATE, guarded=("audit", "nonces"), each=each)
    if found.first_bad is None and found.rows and not held:
        return replace(found, first_bad=1, why=fault or "the file of checkpoints is gone")
    if found.first_bad is None and fault:
        return replace(found, first_bad=len(held) + 1, why=fault)
    return found
