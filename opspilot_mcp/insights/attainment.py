"""Whether the desk keeps its deadlines: first response and resolution, met, missed or still running.

Targets are read as they are stored: the clock in `desk/sla.py` has already moved them for pauses and closed hours.
"""

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, ColumnElement, Connection, bindparam, case, func, select

from opspilot_mcp.store.schema import tickets

PRIORITIES = ("P1", "P2", "P3", "P4")

# A ticket that was resolved without a reply had its first response then.
_RESPONDED: ColumnElement[int] = func.coalesce(tickets.c.responded_ms, tickets.c.resolved_ms)


class Score(BaseModel):
    """How many targets were met, missed and are still running."""

    model_config = ConfigDict(frozen=True)

    met: int = 0
    missed: int = 0
    running: int = 0

    @property
    def decided(self) -> int:
        return self.met + self.missed

    @property
    def rate(self) -> float | None:
        """Share met of what is decided, 0 to 1; None while nothing is decided."""
        return self.met / self.decided if self.decided else None


class Target(Score):
    """One kind of deadline, over all tickets and by priority (P1 to P4, where there are tickets)."""

    by_priority: dict[str, Score]


class Attainment(BaseModel):
    """Deadlines of the tickets made in `(since, until]`; `without_target` counts those that have none yet."""

    model_config = ConfigDict(frozen=True)

    since_ms: int
    until_ms: int
    first_response: Target
    resolution: Target
    without_target: int


def _verdict(due: Column[int], done: ColumnElement[int]) -> ColumnElement[str]:
    """Met includes the due instant itself. The clock of a ticket that waits on its customer stands at the pause."""
    return case(
        (due.is_(None), "none"),
        (done <= due, "met"),
        (done.is_not(None), "missed"),
        (due < func.coalesce(tickets.c.paused_ms, bindparam("now")), "missed"),
        else_="running",
    )


_FIRST = _verdict(tickets.c.first_response_due_ms, _RESPONDED).label("first")
_RESOLUTION = _verdict(tickets.c.resolution_due_ms, tickets.c.resolved_ms).label("resolution")
_VERDICTS = (
    select(tickets.c.priority, _FIRST, _RESOLUTION, func.count().label("tickets"))
    .where(
        tickets.c.created_ms > bindparam("since"),
        tickets.c.created_ms <= bindparam("until"),
        tickets.c.merged_into.is_(None),
    )
    .group_by(tickets.c.priority, "first", "resolution")
)


def sla(conn: Connection, since_ms: int, until_ms: int, *, now: int) -> Attainment:
    """Return met, missed and running targets of tickets made in the period, as things stand at `now`."""
    rows = conn.execute(_VERDICTS, {"since": since_ms, "until": until_ms, "now": now}).all()
    return Attainment(
        since_ms=since_ms,
        until_ms=until_ms,
        first_response=_target([(row.priority, row.first, row.tickets) for row in rows]),
        resolution=_target([(row.priority, row.resolution, row.tickets) for row in rows]),
        without_target=sum(row.tickets for row in rows if row.first == "none"),
    )


def _target(rows: list[tuple[str | None, str, int]]) -> Target:
    by_priority = {name: _score([row for row in rows if row[0] == name]) for name in PRIORITIES}
    total = _score(rows)
    present = {name: score for name, score in by_priority.items() if score != Score()}
    return Target(met=total.met, missed=total.missed, running=total.running, by_priority=present)


def _score(rows: list[tuple[str | None, str, int]]) -> Score:
    def of(verdict: str) -> int:
        return sum(count for _, found, count in rows if found == verdict)

    return Score(met=of("met"), missed=of("missed"), running=of("running"))
