"""The correlation engine as the database keeps it: one row an open incident, so that any process can carry on.

Rebuilding the engine from its rows for every batch would cost more than the batch. So a process keeps its last engine
beside the token that its own transaction wrote. The token in the database is the authority: when it is another one,
somebody else has correlated since, and the kept engine is thrown away and rebuilt. Tokens are random and written once,
so one from a transaction that was rolled back never comes back.
"""

import secrets
from collections import OrderedDict

from pydantic_core import from_json, to_json
from sqlalchemy import Connection, bindparam, delete, insert, select, update

from opspilot_mcp.aiops import topologies
from opspilot_mcp.aiops.correlation import Engine
from opspilot_mcp.store.schema import correlator, correlator_states, incidents

_TOKEN = select(correlator.c.token).where(correlator.c.id == 1).with_for_update()
_STATES = (
    select(incidents.c.key, correlator_states.c.incident_id, correlator_states.c.body)
    .join(incidents, incidents.c.id == correlator_states.c.incident_id)
    .order_by(correlator_states.c.incident_id)
)
_ADD = insert(correlator_states)
_CHANGE = (
    update(correlator_states)
    .where(correlator_states.c.incident_id == bindparam("number"))
    .values(body=bindparam("state"))
)
_DROP = delete(correlator_states).where(correlator_states.c.incident_id == bindparam("number"))

_KEPT = 4
_kept: OrderedDict[str, "Correlator"] = OrderedDict()


class Correlator:
    """The engine and the numbers of the incidents that can still grow, by the engine's key."""

    def __init__(self, engine: Engine, numbers: dict[str, int]) -> None:
        self.engine = engine
        self.numbers = numbers
        self.stored = set(numbers)  # keys that have a row in correlator_states


def load(conn: Connection) -> Correlator:
    """Return the correlator as the last transaction left it. Inside a write only: `save` it in the same transaction."""
    topology = topologies.current(conn)
    token = conn.execute(_TOKEN).scalar()
    kept = _kept.pop(token, None) if token else None
    if kept is not None and kept.engine.topology is topology:
        return kept
    rows = conn.execute(_STATES).all()
    engine = Engine.restore(topology, [from_json(row.body) for row in rows])
    return Correlator(engine, {row.key: row.incident_id for row in rows})


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
    if added:
        conn.execute(_ADD, added)
    if changed:
        conn.execute(_CHANGE, changed)
    _forget(conn, held, gone)
    held.engine.clean()
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
    if conn.execute(update(correlator).where(correlator.c.id == 1).values(token=token, at_ms=now)).rowcount == 0:
        conn.execute(insert(correlator).values(id=1, token=token, at_ms=now))
    _kept[token] = held
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
