"""The correlation engine as the database keeps it: one row an open incident, so that any process can carry on.

Rebuilding the engine from its rows for every batch would cost more than the batch. So a process keeps its last engine
beside the token that its own transaction wrote. The token in the database is the authority: when it is another one,
somebody else has correlated since, and the kept engine is thrown away and rebuilt. Tokens are random and written once,
so one from a transaction that was rolled back never comes back.
"""

import secrets
from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from opspilot_mcp.aiops import alerts, early, topologies
from opspilot_mcp.aiops.correlation import Engine, View, view_of
from opspilot_mcp.aiops.early import Early
from opspilot_mcp.aiops.history import History
from opspilot_mcp.aiops.history import Row as Counted
from opspilot_mcp.aiops.incident_state import Incident as OpenIncident
from opspilot_mcp.aiops.signals import read
from opspilot_mcp.aiops.topology import Topology
from opspilot_mcp.store.bulk import Bulk, upsert
from opspilot_mcp.store.schema import alert_history, correlator, correlator_states, incidents

_MARK = select(correlator.c.token, correlator.c.swept).where(correlator.c.id == 1).with_for_update()
_STATES = (
    select(incidents.c.key, correlator_states.c.incident_id, correlator_states.c.body)
    .join(incidents, incidents.c.id == correlator_states.c.incident_id)
    .order_by(correlator_states.c.incident_id)
)
_ADD = Bulk(insert(correlator_states), "incident_id", "body")
_CHANGE = Bulk(
    update(correlator_states)
    .where(correlator_states.c.incident_id == bindparam("number"))
    .values(body=bindparam("state"))
)
_DROP = delete(correlator_states).where(correlator_states.c.incident_id == bindparam("number"))
_COLUMNS = ("entity", "alertname", "incidents", "recent", "as_of")
_HISTORY = select(*(alert_history.c[name] for name in _COLUMNS))
_WRITE_HISTORY = Bulk(upsert(alert_history), *_COLUMNS)

_KEPT = 4
_kept: OrderedDict[str, "Correlator"] = OrderedDict()


class _Told(NamedTuple):
    """What was said of an open incident, and how rare each of its alerts was then."""

    view: View
    rarities: tuple[float, ...]


class Correlator:
    """The engine, its history, and the numbers of the incidents that can still grow, by the engine's key."""

    def __init__(
        self,
        topology: Topology,
        numbers: dict[str, int],
        states: Iterable[str],
        history: History,
        *,
        swept: int,
        waiting: Iterable[Early],
    ) -> None:
        self.engine = Engine.restore(topology, map(from_json, states), swept=swept, early=waiting, on_close=self._close)
        self.numbers = numbers
        self.history = history
        self.stored = set(self.numbers)  # keys that have a row in correlator_states
        self._last: dict[str, View] = {}  # what timed out since the last save, where that is not told yet
        self._told: dict[str, _Told] = {}  # what was said last of each open incident
        self._has_learnt = False  # since the last save

    def _close(self, incident: OpenIncident) -> None:
        key = incident.key
        if self.engine.is_dirty(key) or not self._is_told(key):
            view = self._last[key] = view_of(incident, self.engine.topology, self.history)
        else:
            view = self._told[key].view
        self._told.pop(key, None)
        self.history.learn(incident.cluster, [(place, name) for place, name, _ in view.symptoms])
        self._has_learnt = True

    def views(self) -> dict[int, View]:
        """Return by number what a reader may know of every incident that changed since the last save.

        When an incident became history, others change too: those whose alerts are now less rare than they were.
        """
        keys = dict.fromkeys((*self.engine.dirty(), *self._less_rare())) if self._has_learnt else self.engine.dirty()
        found = {key: self._last.get(key) or self._view(key) for key in keys}
        return {self.numbers[key]: view for key, view in found.items() if view is not None}

    def _view(self, key: str) -> View | None:
        view = self.engine.view(key, self.history)
        if view is None:
            self._told.pop(key, None)
        else:
            self._told[key] = _Told(view, self.history.rarities(view.cluster, view.symptoms))
        return view

    def _less_rare(self) -> list[str]:
        """Return the open incidents that history tells apart from how they were told. Ranking all of them anew with
        every batch cost more than correlating it, where many incidents are small."""
        return [one.key for one in self.engine.open_incidents() if not self._is_told(one.key)]

    def _is_told(self, key: str) -> bool:
        told = self._told.get(key)
        return told is not None and told.rarities == self.history.rarities(told.view.cluster, told.view.symptoms)

    def settle(self) -> None:
        """Forget what changed: it is stored."""
        self.engine.clean()
        self._last.clear()
        self._has_learnt = False


def lock(conn: Connection) -> None:
    """Wait until no other transaction correlates. Look for work only after it, or two may find the same.

    SQLite's one writer is alone anyway.
    """
    conn.execute(_MARK)


def load(conn: Connection) -> Correlator:
    """Return the correlator as the last transaction left it. Inside a write only: `save` it in the same transaction."""
    topology = topologies.current(conn)
    mark = conn.execute(_MARK).first()
    kept = _kept.pop(mark.token, None) if mark else None
    if kept is not None and kept.engine.topology is topology:
        return kept
    history = History(Counted(*row) for row in conn.execute(_HISTORY))
    rows = conn.execute(_STATES).all()
    numbers = {row.key: row.incident_id for row in rows}
    swept = mark.swept if mark else 0
    waiting = _early(conn, topology, swept)
    return Correlator(topology, numbers, [row.body for row in rows], history, swept=swept, waiting=waiting)


def _early(conn: Connection, topology: Topology, swept: int) -> list[Early]:
    """Return the resolves that wait for their alert: they are stored as alerts that ended nothing."""
    ended_nothing = alerts.suppressed(
        conn,
        "nothing_to_resolve",
        arrived=(early.kept_from_ms(swept), early.kept_until_ms(swept)),
        within_ms=early.KEPT_MS,
        most=early.MOST,
    )
    return [Early(one.cluster, one.env, read(one, topology)) for one in ended_nothing]


def save(conn: Connection, held: Correlator, *, now: int) -> None:
    """Store what changed in the engine and leave a new token; incidents that closed are forgotten."""
    added, changed, gone = [], [], []
    for key in held.engine.dirty():
        state, number = held.engine.state(key), held.numbers[key]
        body = None if state is None else to_json(state).decode()
        if body is None:
            gone.append(key)
        elif key in held.stored:
            changed.append({"number": number, "state": body})
        else:
            added.append({"incident_id": number, "body": body})
            held.stored.add(key)
    _ADD.run(conn, added)
    _CHANGE.run(conn, changed)
    _forget(conn, held, gone)
    _WRITE_HISTORY.run(conn, [dict(zip(_COLUMNS, row, strict=True)) for row in held.history.changed()])
    held.settle()
    _leave_token(conn, held, now=now)


def _forget(conn: Connection, held: Correlator, gone: list[str]) -> None:
    stored = [{"number": held.numbers[key]} for key in gone if key in held.stored]
    if stored:
        conn.execute(_DROP, stored)
    for key in gone:
        held.stored.discard(key)
        del held.numbers[key]


def _leave_token(conn: Connection, held: Correlator, *, now: int) -> None:
    token = secrets.token_hex(16)
    values = {"token": token, "swept": held.engine.swept, "at_ms": now}
    if conn.execute(update(correlator).where(correlator.c.id == 1).values(**values)).rowcount == 0:
        conn.execute(insert(correlator).values(id=1, **values))
    _kept[token] = held
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
