"""The alert walk: what monitors send is stored, folded into incidents, ranked, and given a runbook.

Each step is one short write, so other processes get their turn between two folds and a cancelled call loses nothing:
what was stored or folded stays, the rest waits for the next call.
"""

from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from opspilot_mcp.aiops import alerts, folding, formats, incidents
from opspilot_mcp.aiops.alerts import Alert, Received
from opspilot_mcp.aiops.folding import Folded
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.runbooks import Runbook
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.store import ids
from opspilot_mcp.store.db import Db

MOST = 50_000  # alerts folded in one call before it answers


class Rejected(BaseModel):
    """One item that is no alert: its place in what was sent, from 0, and why."""

    model_config = ConfigDict(frozen=True)

    index: int
    reason: str


class Ingested(BaseModel):
    """What became of one delivery."""

    model_config = ConfigDict(frozen=True)

    stored: int
    repeated: int
    flagged: int
    rejected: tuple[Rejected, ...]


class Noise(BaseModel):
    """How far a storm was folded. Read `reduction` only beside the other figures: one big pile would score highest.

    `alerts` counts all alerts of these incidents and what was suppressed; `pages` the incidents a person is told of;
    `unexplained` the incidents of a single alert, which nothing else relates to.
    """

    model_config = ConfigDict(frozen=True)

    alerts: int
    suppressed: int
    incidents: int
    pages: int
    unexplained: int
    reduction: float  # 1 - incidents / alerts; 0 when there are no alerts


class Correlated(BaseModel):
    """What one call folded. Incident ids are those that hold the alerts now; `waiting` is what it left for the next."""

    model_config = ConfigDict(frozen=True)

    alerts: int
    waiting: int
    suppressed: dict[str, int]  # why -> alerts
    opened: tuple[str, ...]
    extended: tuple[str, ...]
    merged: tuple[tuple[str, str], ...]  # (loser, survivor)
    reopened: tuple[str, ...]
    resolved: tuple[str, ...]
    noise: Noise


# -- arrival -----------------------------------------------------------------------------------------------------------


async def ingest(
    db: Db,
    payload: object,
    *,
    actor: str,
    now: int,
    source: str | None = None,
) -> Ingested:
    """Store what a monitor sent, in any known format: the good items of a list are kept, each bad one is named."""
    read, rejected = parse(payload, source=source, now=now)
    got = await store(db, read, actor=actor, now=now)
    return Ingested(**got.model_dump(), rejected=tuple(rejected))


def parse(payload: object, *, source: str | None, now: int) -> tuple[list[Alert], list[Rejected]]:
    """Return the alerts of a payload and the items that are none."""
    read: list[Alert] = []
    rejected: list[Rejected] = []
    for index, item in enumerate(payload if isinstance(payload, list) else [payload]):
        try:
            read += formats.parse(item, source=source, now_ms=now)
        except InvalidInput as error:
            rejected.append(Rejected(index=index, reason=str(error)))
    return read, rejected


async def store(db: Db, read: Sequence[Alert], *, actor: str, now: int) -> Received:
    """Store alerts in order, a short transaction at a time."""
    total = Received(stored=0, repeated=0, flagged=0)
    for start in range(0, len(read), alerts.BATCH):
        got = await db.write(alerts.receive, read[start : start + alerts.BATCH], actor=actor, now=now)
        total = _sum(total, got)
    return total


def _sum(one: Received, other: Received) -> Received:
    return Received(
        stored=one.stored + other.stored,
        repeated=one.repeated + other.repeated,
        flagged=one.flagged + other.flagged,
    )


# -- correlation -------------------------------------------------------------------------------------------------------


async def correlate(db: Db, *, actor: str, now: int, limit: int = MOST, books: Sequence[Runbook] = ()) -> Correlated:
    """Fold what waits, at most `limit` alerts, in the order it was stored; then resolve what has long been quiet."""
    return await finish(db, [], actor=actor, now=now, limit=limit, books=books)


async def finish(
    db: Db, folds: list[Folded], *, actor: str, now: int, limit: int = MOST, books: Sequence[Runbook] = ()
) -> Correlated:
    """Fold what waits as `correlate` does; the answer counts `folds` in, which were made while alerts were stored."""
    left = limit
    while left > 0:
        done = await db.write(folding.fold, actor=actor, now=now, limit=min(left, folding.FOLD), books=books)
        if not done.alerts:
            break
        folds.append(done)
        left -= done.alerts
    resolved = await db.write(incidents.resolve_recovered, actor=actor, now=now)
    return await db.read(_answer, folds, resolved)


def _answer(conn: Connection, folds: Sequence[Folded], resolved: Sequence[str]) -> Correlated:
    suppressed = sum((fold.suppressed for fold in folds), folding.NOTHING.suppressed.copy())
    ends = incidents.survivors(conn, dict.fromkeys(n for fold in folds for n in fold.touched))
    touched = incidents.by_number(conn, set(ends.values()))
    opened = {number for fold in folds for number in fold.opened}
    return Correlated(
        alerts=sum(fold.alerts for fold in folds),
        waiting=alerts.count_waiting(conn),
        suppressed=dict(sorted(suppressed.items())),
        opened=tuple(one.id for one in touched if one.number in opened),
        extended=tuple(one.id for one in touched if one.number not in opened),
        merged=tuple((_shown(a), _shown(b)) for fold in folds for a, b in fold.merged),
        reopened=tuple(_shown(n) for n in dict.fromkeys(n for fold in folds for n in fold.reopened)),
        resolved=tuple(resolved),
        noise=noise(touched, suppressed),
    )


def noise(touched: Sequence[Incident], suppressed: Mapping[str, int]) -> Noise:
    """Return the figures over these incidents and the alerts that were suppressed beside them."""
    held_back = sum(suppressed.values())
    total = held_back + sum(one.alert_count for one in touched)
    return Noise(
        alerts=total,
        suppressed=held_back,
        incidents=len(touched),
        pages=sum(one.pages for one in touched),
        unexplained=sum(one.alert_count == 1 for one in touched),
        reduction=round(1 - len(touched) / total, 4) if total else 0.0,
    )


def _shown(number: int) -> str:
    return ids.shown("INC", number)
