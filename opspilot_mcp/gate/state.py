"""The gate's own standing: its instance, the latest instant it has seen, the kill switch, the quarantine."""

import secrets

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, insert, select, update

from opspilot_mcp.errors import StoreUnusable
from opspilot_mcp.gate import audit
from opspilot_mcp.gate.schema import gate_state

# A clock that jumps back less than this is a correction, not an attack: no row is written for it.
_HIGH_WATER_STEP_MS = 1_000
_STATE = select(gate_state)


class Standing(BaseModel):
    """The one row of `gate_state`."""

    model_config = ConfigDict(frozen=True)

    instance: str
    created_ms: int
    high_water_ms: int
    killed_by: str | None
    quarantine: str | None

    def now(self, now: int) -> int:
        """Return the instant to decide by: never earlier than one already seen, so a clock set back revives nothing."""
        return max(now, self.high_water_ms)


def create(conn: Connection, instance: str, *, now: int) -> None:
    """Write the row of a new gate."""
    conn.execute(insert(gate_state).values(id=1, instance=instance, created_ms=now, high_water_ms=now))


def new_instance() -> str:
    """Return a random name for a new gate."""
    return secrets.token_hex(16)


def read(conn: Connection) -> Standing:
    """Return the gate's standing. Raises StoreUnusable before `gate init`."""
    row = conn.execute(_STATE).mappings().first()
    if row is None:
        raise StoreUnusable("The gate is not set up. Run `opspilot-mcp gate init`.")
    return Standing.model_validate({**row})


def see(conn: Connection, *, now: int) -> Standing:
    """Return the standing after raising the high-water mark to `now`."""
    standing = read(conn)
    if now < standing.high_water_ms + _HIGH_WATER_STEP_MS:
        return standing
    conn.execute(update(gate_state).values(high_water_ms=now))
    return standing.model_copy(update={"high_water_ms": now})


def kill(conn: Connection, by: str, *, now: int) -> bool:
    """Stop every message from leaving; False when it was stopped already."""
    won = conn.execute(update(gate_state).where(gate_state.c.killed_by.is_(None)).values(killed_by=by)).rowcount
    if won:
        audit.record(conn, by, "gate.killed", "gate", now=now)
    return bool(won)


def release(conn: Connection, by: str, *, now: int) -> bool:
    """Let messages leave again; False when nothing was stopped."""
    won = conn.execute(update(gate_state).where(gate_state.c.killed_by.is_not(None)).values(killed_by=None)).rowcount
    if won:
        audit.record(conn, by, "gate.released", "gate", now=now)
    return bool(won)


def set_clock(conn: Connection, by: str, *, now: int) -> None:
    """Take `now` as the latest instant seen, although a later one was seen before."""
    conn.execute(update(gate_state).values(high_water_ms=now))
    audit.record(conn, by, "gate.clock_accepted", "gate", now=now)


def set_quarantine(conn: Connection, why: str | None, by: str, *, now: int) -> None:
    """Start or end the quarantine."""
    conn.execute(update(gate_state).values(quarantine=why))
    action = "gate.quarantined" if why else "gate.quarantine_ended"
    audit.record(conn, by, action, "gate", now=now, detail={"why": why} if why else None)
