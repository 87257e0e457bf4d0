"""The learners' weights in the database: one packed row a hash and model, so a ticket reads only its own words.

Two models learn from the same tickets: what one is about (`category`), and whether it is a P1 (`p1`). Their rows lie
side by side, and one look finds both.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from sqlalchemy import Connection, bindparam, delete, insert, select

from opspilot_mcp.desk.learner import Row
from opspilot_mcp.store.schema import learner_rows, learner_state

Model = Literal["category", "p1"]
Rows = dict[Model, dict[int, Row]]

_ROWS = select(learner_rows).where(learner_rows.c.hash.in_(bindparam("hashes", expanding=True)))
_GONE = delete(learner_rows).where(
    learner_rows.c.hash.in_(bindparam("hashes", expanding=True)), learner_rows.c.model == bindparam("of")
)
_INSERT = insert(learner_rows)


def load(conn: Connection, hashes: Iterable[int]) -> Rows:
    """Return the rows of these hashes, of each model those it has."""
    found: Rows = {model: {} for model in get_args(Model)}
    for row in conn.execute(_ROWS, {"hashes": list(hashes)}):
        found[row.model][row.hash] = Row.unpack(row.packed)
    return found


def save(conn: Connection, model: Model, rows: Mapping[int, Row]) -> None:
    """Store a model's rows over those with the same hashes."""
    conn.execute(_GONE, {"hashes": list(rows), "of": model})
    if rows:
        conn.execute(_INSERT, [{"hash": key, "model": model, "packed": row.pack()} for key, row in rows.items()])


def save_state(conn: Connection, bodies: Mapping[str, str]) -> None:
    """Store what a learner keeps besides its rows, by name, over what stood under those names."""
    conn.execute(delete(learner_state).where(learner_state.c.name.in_(list(bodies))))
    conn.execute(insert(learner_state), [{"name": name, "body": body} for name, body in bodies.items()])
