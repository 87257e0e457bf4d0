"""The alert: one canonical record whatever monitor sent it, stored once however often it is delivered.

Every word in it is a stranger's: names, labels and summary come from monitors and, through them, from whoever can
make one fire. They are cleaned here, capped with the cut disclosed in `flags`, and never lost: what is odd is kept
and flagged.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json, to_json
from sqlalchemy import Connection, bindparam, func, insert, select, update

from opspilot_mcp.clock import DAY_MS, MAX_MS
from opspilot_mcp.store import audit
from opspilot_mcp.store.bulk import Bulk
from opspilot_mcp.store.schema import alerts
from opspilot_mcp.text import cap, clean, one_line

Severity = Literal["info", "warning", "error", "critical"]
AlertStatus = Literal["firing", "resolved"]

NAME_CHARS = 256
TEXT_CHARS = 4_000
LABEL_CHARS = 1_024
MAX_LABELS = 64
CLOCK_SLACK_MS = DAY_MS  # a monitor whose clock is further off than this is flagged
BATCH = 1_000  # the most one transaction stores: with its folding under a tenth of a second


class Alert(BaseModel):
    """One delivered alert in the canonical form. Instants are UTC ms; names are as the monitor wrote them.

    `flags` says what was wrong with it and kept all the same: "clock" (its time is more than a day from its arrival
    or ahead of ours), "cut:FIELD:N" (N characters or labels were cut), "unnamed", "unknown_severity:WORD",
    "duplicate_id" (another alert had this id).
    """

    model_config = ConfigDict(frozen=True)

    id: str
    ts_ms: int  # event time
    arr_ms: int  # arrival
    cluster: str = "default"
    env: str = "prod"
    service: str | None = None
    instance: str | None = None
    host: str | None = None
    alertname: str
    severity: Severity = "warning"
    summary: str = ""
    source: str = "generic"
    status: AlertStatus = "firing"
    change: str | None = None
    labels: dict[str, str] = {}
    flags: tuple[str, ...] = ()


class Received(BaseModel):
    """What became of a batch; the counts add up to its length."""

    model_config = ConfigDict(frozen=True)

    stored: int
    repeated: int  # already stored under the same id: nothing was changed
    flagged: int  # of the stored


class Placed(NamedTuple):
    """Where correlation put a stored alert, ready to be written."""

    alert: str  # its id; the fields are named as the statement's parameters, which no column may share
    incident: int | None
    why: str | None  # why it is in no incident; None when it is in one
    because: str  # the engine's reason as JSON
    also: str  # JSON list of incident numbers, best first


_NAMES = ("cluster", "env", "service", "instance", "host", "alertname", "source", "change")
_CONDITION = ("cluster", "env", "service", "instance", "host", "alertname")
_NAMES_OF = attrgetter(*_NAMES)
_PLAIN = ("id", "ts_ms", "arr_ms", *_NAMES, "severity", "summary", "status")
_PLAIN_OF = attrgetter(*_PLAIN)
_PLAIN_OF_ROW = itemgetter("alert_id", *_PLAIN[1:])
_STORED = tuple(Alert.model_fields)
_FIELDS = tuple(alerts.c["alert_id" if name == "id" else name] for name in _STORED)
_OF_ROW = itemgetter(*(column.name for column in _FIELDS))

_INSERT = Bulk(insert(alerts), *(column.name for column in alerts.c if column.name != "id"))
_KNOWN = select(alerts.c.alert_id, alerts.c.fingerprint, alerts.c.ts_ms, alerts.c.status).where(
    alerts.c.alert_id.in_(bindparam("ids", expanding=True))
)
_INCIDENTS_OF = select(alerts.c.incident_id).where(alerts.c.alert_id.in_(bindparam("ids", expanding=True))).distinct()
_WAITING = select(*_FIELDS).where(alerts.c.correlated_ms.is_(None)).order_by(alerts.c.id).limit(bindparam("most"))
_COUNT_WAITING = select(func.count()).select_from(alerts).where(alerts.c.correlated_ms.is_(None))
_UNPLACED = {"correlated_ms": None, "incident_id": None, "suppressed": None, "reason": None, "also_explained_by": None}
_PLACE = Bulk(
    update(alerts)
    .where(alerts.c.alert_id == bindparam("alert"))
    .values(
        correlated_ms=bindparam("now"),
        incident_id=bindparam("incident"),
        suppressed=bindparam("why"),
        reason=bindparam("because"),
        also_explained_by=bindparam("also"),
    )
)


def fingerprint(alert: Alert) -> str:
    """Return 16 hex digits that name the condition: the same thing, the same check, whatever its time or severity."""
    return _print(*(getattr(alert, name) for name in _CONDITION))


def _print(*parts: str | None) -> str:
    # A lone surrogate can come out of JSON and cannot be encoded; it must not cost us the alert.
    joined = "\0".join(part or "" for part in parts).encode(errors="replace")
    return hashlib.blake2b(joined, digest_size=8).hexdigest()


def receive(conn: Connection, batch: Sequence[Alert], *, actor: str, now: int) -> Received:
    """Store a batch in its order; an alert that is already here under the same id changes nothing.

    The same id on another alert is kept under an id of its own, flagged: monitors number alike. Keep a batch at
    BATCH alerts so that the transaction stays short.
    """
    rows = new_rows(conn, batch, now=now)
    insert_rows(conn, rows, actor=actor, now=now)
    return received(batch, rows)


def new_rows(conn: Connection, batch: Sequence[Alert], *, now: int) -> list[dict[str, Any]]:
    """Return the rows of a batch that are not stored yet, cleaned, capped and flagged, with nothing placed."""
    return _new(conn, [_row(alert, now) for alert in batch])


def as_stored(batch: Sequence[Alert], rows: Sequence[Mapping[str, Any]]) -> list[Alert]:
    """Return the records of the rows that `new_rows` made of `batch`: what reading them back would give.

    An alert that cleaning left as it was is its own record: making another took 5 us.
    """
    sent = {alert.id: alert for alert in batch}
    return [
        alert if (alert := sent.get(row["alert_id"])) is not None and _is_as_sent(row, alert) else from_row(row)
        for row in rows
    ]


def _is_as_sent(row: Mapping[str, Any], alert: Alert) -> bool:
    if _PLAIN_OF_ROW(row) != _PLAIN_OF(alert) or alert.flags or row["flags"] != "[]":
        return False
    return from_json(row["labels"]) == alert.labels if alert.labels else True


def insert_rows(conn: Connection, rows: Sequence[dict[str, Any]], *, actor: str, now: int) -> None:
    """Store rows made by `new_rows`, placed or not."""
    if rows:
        _INSERT.run(conn, rows)
        audit.record_batch(conn, actor, "alerts.received", "alerts", [row["alert_id"] for row in rows], now=now)


def received(batch: Sequence[Alert], rows: Sequence[Mapping[str, Any]]) -> Received:
    """Return what became of a batch of which `rows` were new."""
    flagged = sum(row["flags"] != "[]" for row in rows)
    return Received(stored=len(rows), repeated=len(batch) - len(rows), flagged=flagged)


class _Named(NamedTuple):
    """The cleaned names of an alert and the fingerprint made of them."""

    columns: dict[str, str | None]
    flags: list[str]


@lru_cache(maxsize=10_000)  # conditions repeat, and cleaning eight names took 12 us; formats cap each at NAME_CHARS
def _named(names: tuple[str | None, ...]) -> _Named:
    flags: list[str] = []
    columns = {field: _name(name, field, flags) for field, name in zip(_NAMES, names, strict=True)}
    columns["cluster"], columns["env"] = columns["cluster"] or "default", columns["env"] or "prod"
    if not columns["alertname"]:
        columns["alertname"] = "unnamed"
        flags.append("unnamed")
    columns["fingerprint"] = _print(*(columns[name] for name in _CONDITION))
    return _Named(columns, flags)


def _row(alert: Alert, now: int) -> dict[str, Any]:
    named = _named(_NAMES_OF(alert))
    flags = [*alert.flags, *named.flags]
    row: dict[str, Any] = {**named.columns, **_UNPLACED}
    row["ts_ms"], row["arr_ms"] = _instant(alert.ts_ms), _instant(alert.arr_ms)
    if abs(row["ts_ms"] - row["arr_ms"]) > CLOCK_SLACK_MS or row["ts_ms"] > now + CLOCK_SLACK_MS:
        flags.append("clock")
    row["summary"] = _text(alert.summary, flags)
    row["labels"] = _labels(alert.labels, flags) if alert.labels else "{}"
    row["severity"], row["status"] = alert.severity, alert.status
    row["alert_id"] = _name(alert.id, "id", flags) or _own_id("alert", row)
    row["flags"] = json.dumps(sorted(set(flags))) if flags else "[]"
    return row


def _instant(ms: int) -> int:
    return min(max(ms, 0), MAX_MS)


def _is_plain(value: str, limit: int) -> bool:
    """Whether cleaning would change nothing: the common case, told without a regular expression."""
    return len(value) <= limit and value.isascii() and value.isprintable()


def _name(value: str | None, field: str, flags: list[str]) -> str | None:
    if value is None or _is_plain(value, NAME_CHARS):
        return value or None
    # A name is cut twice: cleaning a megabyte to keep 256 letters of it would be work for nothing.
    kept, cut = cap(one_line(value[: 8 * NAME_CHARS]), NAME_CHARS)
    if cut or len(value) > 8 * NAME_CHARS:
        flags.append(f"cut:{field}:{len(value) - len(kept)}")
    return kept or None


def _text(value: str, flags: list[str]) -> str:
    if _is_plain(value, TEXT_CHARS):
        return value
    kept, cut = cap(clean(value[: 4 * TEXT_CHARS]), TEXT_CHARS)
    if cut or len(value) > 4 * TEXT_CHARS:
        flags.append(f"cut:summary:{len(value) - len(kept)}")
    return kept


def _labels(labels: Mapping[str, str], flags: list[str]) -> str:
    """Return the labels as JSON, sorted by name; what is beyond the limits is cut and counted in `flags`."""
    items = sorted(labels.items())
    if len(items) > MAX_LABELS:
        flags.append(f"cut:labels:{len(items) - MAX_LABELS}")
    kept = {}
    for key, value in items[:MAX_LABELS]:
        if _is_plain(key, NAME_CHARS) and _is_plain(value, LABEL_CHARS):
            kept[key] = value
            continue
        cut = max(0, len(value) - LABEL_CHARS) + max(0, len(key) - NAME_CHARS)
        flags += [f"cut:label:{cut}"] if cut else []
        kept[one_line(key[:NAME_CHARS])] = one_line(value[:LABEL_CHARS])
    return to_json(kept).decode()


def _own_id(stem: str, row: Mapping[str, Any]) -> str:
    return f"{stem}~{row['fingerprint']}-{row['ts_ms']}-{row['status']}"


def _new(conn: Connection, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows not stored yet, each once; those whose id names another alert come last, under their own id."""
    known = _known(conn, rows)
    fresh, clashing = [], []
    for row in rows:
        first = known.setdefault(row["alert_id"], row)
        if first is row:
            fresh.append(row)
        elif not _is_same(first, row):
            clashing.append({**row, "alert_id": _own_id(row["alert_id"], row), "flags": _also(row["flags"])})
    if not clashing:
        return fresh
    known = _known(conn, clashing)
    return fresh + [row for row in clashing if known.setdefault(row["alert_id"], row) is row]


def _known(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found = conn.execute(_KNOWN, {"ids": [row["alert_id"] for row in rows]}).mappings()
    return {row["alert_id"]: dict(row) for row in found}


def _is_same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one[name] == other[name] for name in ("fingerprint", "ts_ms", "status"))


def _also(flags: str) -> str:
    return json.dumps(sorted({*json.loads(flags), "duplicate_id"}))


# -- correlation -------------------------------------------------------------------------------------------------------


def waiting(conn: Connection, *, limit: int) -> list[Alert]:
    """Return the next alerts to correlate, in the order they were stored, which is the order they arrived in."""
    return [_stored(row) for row in conn.execute(_WAITING, {"most": limit})]


def count_waiting(conn: Connection) -> int:
    """Return how many alerts correlation has not seen yet."""
    return conn.execute(_COUNT_WAITING).scalar_one()


def is_any_waiting(conn: Connection) -> bool:
    """Whether correlation has something to do."""
    return conn.execute(_WAITING, {"most": 1}).first() is not None


def place(conn: Connection, placed: Sequence[Placed], *, now: int) -> None:
    """Write where correlation put stored alerts; a later word about the same alert replaces the earlier."""
    names = (*Placed._fields, "now")
    _PLACE.run(conn, [dict(zip(names, (*entry, now), strict=True)) for entry in placed])


def place_row(row: dict[str, Any], entry: Placed, *, now: int) -> None:
    """Set where correlation put an alert in its row, before the row is stored."""
    row.update(
        correlated_ms=now,
        incident_id=entry.incident,
        suppressed=entry.why,
        reason=entry.because,
        also_explained_by=entry.also,
    )


def of_incident(conn: Connection, incident: int, *, limit: int, after: int = 0) -> list[tuple[int, Alert]]:
    """Return (row, alert) of an incident's alerts in the order they were stored, after row `after`."""
    query = select(alerts.c.id, *_FIELDS).where(alerts.c.incident_id == incident, alerts.c.id > after)
    return [(row[0], _stored(row[1:])) for row in conn.execute(query.order_by(alerts.c.id).limit(limit))]


def incidents_of(conn: Connection, alert_ids: Collection[str]) -> set[int]:
    """Return the numbers of the incidents that hold these alerts now; an alert that is not stored has none."""
    found = conn.execute(_INCIDENTS_OF, {"ids": sorted(alert_ids)}).scalars()
    return {number for number in found if number is not None}


def suppressed(conn: Connection, why: str, *, arrived: tuple[int, int], within_ms: int, most: int) -> list[Alert]:
    """Return the latest alerts kept out of every incident for that reason, in the order they were stored.

    They arrived from the first instant of `arrived` until before the second, within `within_ms` of their event time.
    """
    since_ms, until_ms = arrived
    query = select(*_FIELDS).where(
        # The index on these two: its other rows are years of alerts.
        alerts.c.incident_id.is_(None),
        alerts.c.ts_ms.between(since_ms - within_ms, until_ms + within_ms),
        alerts.c.arr_ms >= since_ms,
        alerts.c.arr_ms < until_ms,
        alerts.c.suppressed == why,
    )
    found = conn.execute(query.order_by(alerts.c.id.desc()).limit(most)).all()
    return [_stored(row) for row in reversed(found)]


def from_row(row: Mapping[str, Any]) -> Alert:
    """Return the record of a row made by `new_rows`: exactly what reading it back from the database gives."""
    return _stored(_OF_ROW(row))


def _stored(row: Sequence[Any]) -> Alert:
    values = dict(zip(_STORED, row, strict=True))
    values["labels"] = from_json(values["labels"])
    values["flags"] = () if values["flags"] == "[]" else tuple(from_json(values["flags"]))
    return Alert(**values)
