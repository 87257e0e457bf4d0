"""Silences: a person decides that some alerts page nobody for a while. They are stored and kept, in no incident.

Only firing alerts are silenced. A resolve always gets through, so that an incident that began before the silence can
recover in it. The instant that counts is the event's, so a late delivery is judged like a punctual one.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, RowMapping, insert, select, update

from opspilot_mcp import text
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.errors import IllegalMove, InvalidInput, NotFound
from opspilot_mcp.store import audit
from opspilot_mcp.store.schema import silences

LONGEST_MS = 30 * DAY_MS
LATE_MS = DAY_MS  # how long after its end a silence is still asked, for alerts that come late
MAX_PATTERN = 256
MAX_REASON = 1_000
MAX_AT_ONCE = 500
FIELDS = ("cluster", "env", "service", "host", "alertname")


class Pattern(BaseModel):
    """What to silence: names with * and ?, as monitors write them. A field left out matches everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cluster: str | None = None
    env: str | None = None
    service: str | None = None
    host: str | None = None
    alertname: str | None = None

    def fits(self, alert: Alert) -> bool:
        """Whether the alert matches every field given."""
        return all(
            fnmatchcase(getattr(alert, name) or "", wanted)
            for name in FIELDS
            if (wanted := getattr(self, name)) is not None
        )


class Silence(BaseModel):
    """One silence, from `starts_ms` on and before `ends_ms`."""

    model_config = ConfigDict(frozen=True)

    number: int
    pattern: Pattern
    starts_ms: int
    ends_ms: int
    reason: str
    by: str

    def covers(self, alert: Alert) -> bool:
        """Whether this silence keeps the alert from paging."""
        return (
            alert.status == "firing" and self.starts_ms <= alert.ts_ms < self.ends_ms and self.pattern.fits(alert)
        )  # fmt: skip


def add(
    conn: Connection, pattern: Pattern, *, starts_ms: int, ends_ms: int, reason: str, actor: str, now: int
) -> Silence:
    """Silence what matches. For operators: no agent's tool leads here.

    Raises InvalidInput for a pattern that silences everything, a span that is empty, over or longer than 30 days, or
    an empty reason; IllegalMove when 500 are in force already.
    """
    _check(pattern, starts_ms, ends_ms, now)
    kept = text.cap(text.one_line(reason), MAX_REASON)[0]
    if not kept:
        raise InvalidInput("The reason is empty. Say why these alerts need nobody.")
    if len(asked(conn, now=now)) >= MAX_AT_ONCE:
        raise IllegalMove(f"{MAX_AT_ONCE} silences are in force. End one first.")
    values = {**pattern.model_dump(), "starts_ms": starts_ms, "ends_ms": ends_ms, "reason": kept, "by": actor}
    number = conn.execute(insert(silences).values(**values).returning(silences.c.id)).scalar_one()
    audit.record(conn, actor, "silence.added", f"silence {number}", now=now, detail={"ends_ms": ends_ms})
    return get(conn, number)


def _check(pattern: Pattern, starts_ms: int, ends_ms: int, now: int) -> None:
    given = [value for name in FIELDS if (value := getattr(pattern, name)) is not None]
    if not any(value.strip("*? ") for value in given):
        raise InvalidInput("The silence names nothing. Give a service, host, alert name, cluster or environment.")
    if any(len(value) > MAX_PATTERN for value in given):
        raise InvalidInput(f"A pattern has over {MAX_PATTERN} characters. Shorten it with *.")
    if ends_ms <= max(starts_ms, now):
        raise InvalidInput("The silence ends before it begins. Give an end in the future, after its start.")
    if ends_ms - max(starts_ms, now) > LONGEST_MS or starts_ms > now + LONGEST_MS:
        raise InvalidInput("A silence lasts 30 days at most. Renew it when it ends.")


def end(conn: Connection, number: int, *, actor: str, now: int) -> Silence:
    """End a silence now; one that is over stays as it is. Raises NotFound."""
    before = get(conn, number)
    if before.ends_ms <= now:
        return before
    conn.execute(update(silences).where(silences.c.id == number).values(ends_ms=now))
    audit.record(conn, actor, "silence.ended", f"silence {number}", now=now)
    return get(conn, number)


def get(conn: Connection, number: int) -> Silence:
    """Return one silence. Raises NotFound."""
    found = [_record(row) for row in conn.execute(select(silences).where(silences.c.id == number)).mappings()]
    if not found:
        raise NotFound(f"There is no silence {number}. List them to see what exists.")
    return found[0]


def asked(conn: Connection, *, now: int) -> list[Silence]:
    """Return the silences in force, to come, or over for less than a day, in the order they were made."""
    query = select(silences).where(silences.c.ends_ms > now - LATE_MS).order_by(silences.c.id)
    return [_record(row) for row in conn.execute(query).mappings()]


def covering(alert: Alert, among: Sequence[Silence]) -> Silence | None:
    """Return the first silence that covers the alert."""
    return next((one for one in among if one.covers(alert)), None)


def _record(row: RowMapping) -> Silence:
    values: dict[str, Any] = dict(row)
    pattern = Pattern(**{name: values.pop(name) for name in FIELDS})
    return Silence(number=values.pop("id"), pattern=pattern, **values)
