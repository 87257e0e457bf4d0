"""How stored alerts become incidents: the engine decides, this room writes down what it decided.

One fold is one write transaction over a bounded number of waiting alerts, in the order they were stored. Everything
it needs it reads inside that transaction, so processes that take turns give the answer that one alone would give.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, Select, bindparam, case, delete, func, insert, select, tuple_, update

from opspilot_mcp.aiops import alerts, correlator, incidents, runbooks, silences
from opspilot_mcp.aiops.alerts import Alert, Placed, Received
from opspilot_mcp.aiops.correlation import Placement, Reason, View
from opspilot_mcp.aiops.correlator import Correlator
from opspilot_mcp.aiops.runbooks import Facts, Runbook
from opspilot_mcp.aiops.silences import Silence
from opspilot_mcp.store import audit, ids
from opspilot_mcp.store import schema as tables
from opspilot_mcp.store.bulk import Bulk

FOLD = 1000  # the most one transaction folds: it takes about a tenth of a second
RANKS = {"info": 0, "warning": 1, "error": 2, "critical": 3}


class Folded(NamedTuple):
    """What one fold did; incidents by number, each once, in the order they came up."""

    alerts: int
    suppressed: Counter[str]  # why -> alerts
    opened: tuple[int, ...]
    touched: tuple[int, ...]  # opened or extended, and still there
    merged: tuple[tuple[int, int], ...]  # (loser, survivor)
    reopened: tuple[int, ...]


NOTHING = Folded(0, Counter(), (), (), (), ())

_OPEN = insert(tables.incidents)
_BY_KEY = select(tables.incidents.c.key, tables.incidents.c.id).where(
    tables.incidents.c.key.in_(bindparam("keys", expanding=True))
)
_BEFORE = select(
    tables.incidents.c.id,
    tables.incidents.c.state,
    tables.incidents.c.severity,
    tables.incidents.c.resolved_ms,
    tables.incidents.c.recovered_ms,
    tables.incidents.c.last_event_ms,
    tables.incidents.c.runbook,
).where(tables.incidents.c.id.in_(bindparam("numbers", expanding=True)))
_UPDATE = Bulk(
    update(tables.incidents)
    .where(tables.incidents.c.id == bindparam("number"))
    .values(
        title=bindparam("new_title"),
        severity=bindparam("new_severity"),
        pages=bindparam("new_pages"),
        opened_ms=bindparam("new_opened_ms"),
        last_event_ms=bindparam("new_last_ms"),
        alert_count=bindparam("new_count"),
        root_candidates=bindparam("new_roots"),
        runbook=bindparam("new_runbook"),
        recovered_ms=bindparam("new_recovered_ms"),
        version=tables.incidents.c.version + bindparam("bump"),
    )
)


def _recovered() -> Select[Any]:
    """Return the statement behind `recovery`: the latest words by condition, then what they say by incident."""
    table = tables.alerts
    ended = func.max(case((table.c.status == "resolved", table.c.ts_ms), else_=-1))
    began = func.max(case((table.c.status == "firing", table.c.ts_ms), else_=-1))
    conditions = (
        select(table.c.incident_id, ended.label("ended_ms"), began.label("began_ms"))
        .where(table.c.incident_id.in_(bindparam("numbers", expanding=True)))
        .group_by(table.c.incident_id, table.c.fingerprint)
        .subquery()
    )
    is_firing = case((conditions.c.began_ms > conditions.c.ended_ms, 1), else_=0)
    query = select(conditions.c.incident_id, func.max(conditions.c.ended_ms).label("ended_ms"))
    return query.group_by(conditions.c.incident_id).having(func.max(is_firing) == 0)


_RECOVERED = _recovered()
_SERVICES = select(tables.incident_services).where(
    tables.incident_services.c.incident_id.in_(bindparam("numbers", expanding=True))
)
_ADD_SERVICE = Bulk(insert(tables.incident_services), "incident_id", "service")


def fold(conn: Connection, *, actor: str, now: int, limit: int = FOLD, books: Sequence[Runbook] = ()) -> Folded:
    """Correlate the next `limit` waiting alerts and write what they changed. Answers NOTHING when none waits."""
    correlator.lock(conn)
    batch = alerts.waiting(conn, limit=limit)
    return _fold(conn, batch, {}, actor=actor, now=now, books=books) if batch else NOTHING


def take(
    conn: Connection, batch: Sequence[Alert], *, actor: str, now: int, books: Sequence[Runbook] = ()
) -> tuple[Received, Folded]:
    """Store a batch and correlate it in the same transaction: what `receive` and then `fold` do, with half the writes.

    When alerts of others wait, the batch is stored behind them and left to `fold`: the order of arrival decides.
    """
    correlator.lock(conn)
    rows = alerts.new_rows(conn, batch, now=now)
    got = alerts.received(batch, rows)
    if not rows or alerts.is_any_waiting(conn):
        alerts.insert_rows(conn, rows, actor=actor, now=now)
        return got, NOTHING
    fresh = {row["alert_id"]: row for row in rows}
    return got, _fold(conn, alerts.as_stored(batch, rows), fresh, actor=actor, now=now, books=books)


def _fold(
    conn: Connection,
    batch: Sequence[Alert],
    fresh: dict[str, dict[str, Any]],
    *,
    actor: str,
    now: int,
    books: Sequence[Runbook],
) -> Folded:
    """Correlate `batch`; its rows are in `fresh` by id where they are not stored yet."""
    held = correlator.load(conn)
    placements = _receive(conn, held, batch, now=now)
    opened = _open(conn, held, batch, placements)
    merged = tuple((held.numbers[loser], held.numbers[to]) for one in placements for loser, to in one.merged)
    regrouped = _moved_between(conn, held, placements).union(survivor for _, survivor in merged)
    _place(conn, held, placements, fresh, actor=actor, now=now)
    woken = join(conn, merged)
    views = held.views()
    told = _told(held, batch, placements, dict(merged), regrouped)
    reopened = write(conn, views, told._replace(fired={**told.fired, **woken}), books)
    correlator.save(conn, held, now=now)
    done = Folded(len(batch), _suppressed(placements), opened, told.touched, merged, reopened)
    _record(conn, done, [alert.id for alert in batch], actor=actor, now=now)
    return done


def _receive(conn: Connection, held: Correlator, batch: Sequence[Alert], *, now: int) -> list[Placement]:
    """Ask the engine about every alert that no person has silenced."""
    # A recording is older than any silence that is still asked; what was in force at its time is asked too.
    quiet = silences.asked(conn, now=min(now, min(alert.ts_ms for alert in batch)))
    if not quiet:
        return [held.engine.receive(alert) for alert in batch]
    return [
        _silenced(alert, by) if (by := silences.covering(alert, quiet)) else held.engine.receive(alert)
        for alert in batch
    ]


def _silenced(alert: Alert, by: Silence) -> Placement:
    told = f"Silence {by.number} covers it."
    return Placement(alert.id, None, Reason("silenced", None, None, None, None, told), suppressed=True)


def _open(conn: Connection, held: Correlator, batch: Sequence[Alert], placed: Sequence[Placement]) -> tuple[int, ...]:
    """Give every incident that opened a number, one that was merged away at once too: numbers follow the alerts alone,
    however they were cut into folds."""
    rows = [_row(one.incident_key, alert) for alert, one in zip(batch, placed, strict=True) if one.opened]
    if not rows:
        return ()
    conn.execute(_OPEN, rows)
    numbers = _by_key(conn, [row["key"] for row in rows])
    held.numbers |= numbers
    return tuple(numbers[row["key"]] for row in rows)


def _row(key: str | None, alert: Alert) -> dict[str, Any]:
    return {
        "key": key,
        "version": 1,
        "state": "open",
        "title": alert.alertname,
        "severity": alert.severity,
        "tier": "L1",
        "pages": False,
        "cluster": alert.cluster,
        "env": alert.env,
        "opened_ms": alert.ts_ms,
        "last_event_ms": alert.ts_ms,
        "alert_count": 1,
        "root_candidates": "[]",
    }


def _place(
    conn: Connection,
    held: Correlator,
    placements: Sequence[Placement],
    fresh: Mapping[str, dict[str, Any]],
    *,
    actor: str,
    now: int,
) -> None:
    """Write every placement; a later one about the same alert replaces the earlier."""
    final = {one.alert_id: one for placement in placements for one in (placement, *placement.revised)}
    numbers = _numbers(conn, held, final.values())
    stored = []
    for alert_id, one in final.items():
        placed = _placed(one, numbers)
        if alert_id in fresh:
            alerts.place_row(fresh[alert_id], placed, now=now)
        else:
            stored.append(placed)
    alerts.insert_rows(conn, list(fresh.values()), actor=actor, now=now)
    alerts.place(conn, stored, now=now)


def _numbers(conn: Connection, held: Correlator, placements: Iterable[Placement]) -> Mapping[str, int]:
    """Return the numbers of all incidents these placements name, closed and merged ones too."""
    absent = {key for one in placements for key in one.also_explained_by if key not in held.numbers}
    if not absent:
        return held.numbers
    return {**held.numbers, **_by_key(conn, sorted(absent))}


def _by_key(conn: Connection, keys: Sequence[str]) -> dict[str, int]:
    return {row.key: row.id for row in conn.execute(_BY_KEY, {"keys": keys})}


def _placed(one: Placement, numbers: Mapping[str, int]) -> Placed:
    also = [numbers[key] for key in one.also_explained_by if key in numbers]
    return Placed(
        alert=one.alert_id,
        incident=None if one.incident_key is None else numbers[one.incident_key],
        why=one.reason.kind if one.suppressed else None,
        because=to_json(dict(zip(Reason._fields, one.reason, strict=True))).decode(),
        also=to_json(also).decode() if also else "[]",
    )


def _moved_between(conn: Connection, held: Correlator, placements: Sequence[Placement]) -> frozenset[int]:
    """Return the incidents that later alerts moved alerts from or to. Ask before the new places are written."""
    moved = {one.alert_id for placement in placements for one in placement.revised}
    if not moved:
        return frozenset()
    told = (one for placement in placements for one in (placement, *placement.revised) if one.alert_id in moved)
    places = {held.numbers[one.incident_key] for one in told if one.incident_key is not None}
    return frozenset(places | alerts.incidents_of(conn, moved))


def _suppressed(placements: Sequence[Placement]) -> Counter[str]:
    """Count why alerts stand in no incident; what a later alert of the batch took along with it does not count."""
    placed_later = {one.alert_id for placement in placements for one in placement.revised}
    return Counter(one.reason.kind for one in placements if one.suppressed and one.alert_id not in placed_later)


def join(conn: Connection, merged: Sequence[tuple[int, int]]) -> dict[int, int]:
    """Move every alert of each loser to its survivor, in order; returns survivors to re-open with an instant.

    A survivor that was resolved takes over what still goes on in the loser; one that nobody has acknowledged takes
    over the loser's acknowledgement.
    """
    woken: dict[int, int] = {}
    for loser, survivor in merged:
        rows = {row.id: row for row in conn.execute(_BEFORE, {"numbers": [loser, survivor]})}
        conn.execute(update(tables.alerts).where(tables.alerts.c.incident_id == loser).values(incident_id=survivor))
        conn.execute(
            update(tables.incidents)
            .where(tables.incidents.c.id == loser)
            .values(state="merged", merged_into=survivor, version=tables.incidents.c.version + 1)
        )
        if rows[survivor].state == "resolved" and rows[loser].state in incidents.ACTIVE:
            woken[survivor] = 1 + (rows[survivor].resolved_ms or 0)
        elif rows[survivor].state == "open" and rows[loser].state == "acknowledged":
            _take_over_acknowledgement(conn, loser, survivor)
    return woken


def _take_over_acknowledgement(conn: Connection, loser: int, survivor: int) -> None:
    table = tables.incidents
    at_ms = select(table.c.acknowledged_ms).where(table.c.id == loser).scalar_subquery()
    conn.execute(update(table).where(table.c.id == survivor).values(state="acknowledged", acknowledged_ms=at_ms))


class Told(NamedTuple):
    """What a batch says of incidents, by number."""

    fired: Mapping[int, int]  # the latest firing, in ms
    ended: Mapping[int, int]  # the latest resolve, in ms
    touched: tuple[int, ...]  # all that took an alert, in the order they did
    regrouped: frozenset[int]  # those that gained or lost alerts in another way


def _told(
    held: Correlator,
    batch: Sequence[Alert],
    placements: Sequence[Placement],
    ends: Mapping[int, int],
    regrouped: frozenset[int],
) -> Told:
    fired: dict[int, int] = {}
    ended: dict[int, int] = {}
    touched: dict[int, None] = {}
    for alert, placement in zip(batch, placements, strict=True):
        if placement.incident_key is None:
            continue
        number = held.numbers[placement.incident_key]
        while number in ends:
            number = ends[number]
        touched[number] = None
        latest = fired if alert.status == "firing" else ended
        latest[number] = max(alert.ts_ms, latest.get(number, -1))
    return Told(fired, ended, tuple(touched), regrouped)


def write(conn: Connection, views: Mapping[int, View], told: Told, books: Sequence[Runbook]) -> tuple[int, ...]:
    """Bring the touched incidents up to date with the engine; returns those that re-opened."""
    before = {row.id: row for row in conn.execute(_BEFORE, {"numbers": list(views)})}
    recovered = recovery(conn, [number for number, row in before.items() if _may_have_recovered(row, told)])
    rows = []
    for number, view in views.items():
        row = before[number]
        rows.append(_values(number, view, graver=RANKS[view.severity] > RANKS[row.severity]))
        rows[-1]["new_recovered_ms"] = recovered.get(number)
        rows[-1]["new_runbook"] = (
            runbooks.choose(conn, number, row.runbook, _facts(view), books) if books else row.runbook
        )
    _UPDATE.run(conn, rows)
    write_services(conn, {number: view.services for number, view in views.items()})
    back = [
        n for n, row in before.items() if row.state == "resolved" and told.fired.get(n, -1) > (row.resolved_ms or 0)
    ]
    _reopen(conn, back)
    return tuple(back)


def _may_have_recovered(row: Any, told: Told) -> bool:
    """Whether its alerts must be asked: they are many, and mostly the latest word is that something fires."""
    if row.id in told.regrouped:
        return True
    ended_ms = told.ended.get(row.id, -1)
    if told.fired.get(row.id, -1) > max(row.last_event_ms, ended_ms):
        return False
    return ended_ms >= 0 or row.recovered_ms is not None


def _facts(view: View) -> Facts:
    return Facts(
        services=frozenset(view.services),
        alertnames=frozenset(name for _, name, _ in view.symptoms),
        kinds=frozenset(),
        root=view.candidates[0].entity if view.candidates else None,
    )


def _values(number: int, view: View, *, graver: bool) -> dict[str, Any]:
    roots = [{"entity": c.entity, "score": round(c.score, 4), "why": c.why} for c in view.candidates]
    return {
        "number": number,
        "new_title": view.title,
        "new_severity": view.severity,
        "new_pages": view.pages,
        "new_opened_ms": view.opened_ms,
        "new_last_ms": view.last_ms,
        "new_count": view.alert_count,
        "new_roots": to_json(roots).decode(),
        "bump": int(graver),
    }


def write_services(conn: Connection, services: Mapping[int, Sequence[str]]) -> None:
    """Bring the services of these incidents to what is given."""
    table = tables.incident_services
    have = {tuple(row) for row in conn.execute(_SERVICES, {"numbers": list(services)}).all()}
    want = {(number, service) for number, names in services.items() for service in names}
    gone, new = sorted(have - want), sorted(want - have)
    if gone:
        conn.execute(delete(table).where(tuple_(table.c.incident_id, table.c.service).in_(gone)))
    _ADD_SERVICE.run(conn, [{"incident_id": number, "service": service} for number, service in new])


def _reopen(conn: Connection, numbers: Sequence[int]) -> None:
    table = tables.incidents
    if numbers:
        conn.execute(
            update(table)
            .where(table.c.id.in_(numbers), table.c.state == "resolved")
            .values(state="open", resolved_ms=None, acknowledged_ms=None, version=table.c.version + 1)
        )


def recovery(conn: Connection, numbers: Iterable[int]) -> dict[int, int]:
    """Return for each of these incidents in which no condition fires any more when the last one ended, in ms.

    A condition (fingerprint) is over when its latest word by event time is "resolved"; late words change nothing.
    """
    found = conn.execute(_RECOVERED, {"numbers": list(numbers)})
    return {row.incident_id: row.ended_ms for row in found}


def _record(conn: Connection, done: Folded, members: Sequence[str], *, actor: str, now: int) -> None:
    audit.record_batch(conn, actor, "alerts.correlated", "alerts", members, now=now)
    events: list[tuple[str, str, dict[str, object]]] = [("incident.opened", _shown(n), {}) for n in done.opened]
    events += [("incident.merged", _shown(loser), {"into": _shown(to)}) for loser, to in done.merged]
    why = {"why": "an alert fired after it was resolved"}
    events += [("incident.reopened", _shown(n), {**why}) for n in done.reopened]
    audit.record_many(conn, actor, events, now=now)


def _shown(number: int) -> str:
    return ids.shown("INC", number)
