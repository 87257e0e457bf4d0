"""A ticket keeps the times it waited on its customer, and the desk what its clock was set by."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ACTIONS = ("ticket.updated", "ticket.answered", "ticket.customer_wrote", "ticket.merged", "proposal.created")
_BATCH = 1_000


def upgrade() -> None:
    op.add_column("tickets", sa.Column("pauses", sa.Text(), nullable=True))
    op.create_table(
        "desk_state",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_desk_state")),
    )
    _pauses_so_far()


def _pauses_so_far() -> None:
    """Read the pauses that are over out of the audit, which holds every move of a ticket with its instant.

    Until now a pause was only added to the due columns: how long one was could be told from them with the minutes of
    the policy it was added under, and when it was not at all. The due columns stay as they are.
    """
    conn = op.get_bind()
    walk = _Walk()
    for move in _moves(conn):
        walk.take(move)
    kept = [{"id": number, "pauses": json.dumps(pauses)} for number, pauses in walk.over.items()]
    if kept:
        conn.execute(sa.text("UPDATE tickets SET pauses = :pauses WHERE id = :id"), kept)


class _Move(NamedTuple):
    """A ticket's move. `to` is the status it was given, or "answered" and "asked" where the status decides."""

    number: int
    to: str
    at_ms: int


class _Walk:
    """Follows all tickets through their moves: since when each waits, which are done, and the pauses that are over."""

    def __init__(self) -> None:
        self.since: dict[int, int] = {}
        self.done: set[int] = set()
        self.over: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)

    def take(self, move: _Move) -> None:
        number, to, at_ms = move
        if to == "asked" and number not in self.since:
            return  # a proposed answer moves an open ticket too, but ends no pause
        if to == "pending" or (to == "answered" and number not in self.done):
            self.since.setdefault(number, at_ms)
        elif to != "answered":
            self._end(number, at_ms)
        if to in ("resolved", "closed"):
            self.done.add(number)
        elif to != "answered":
            self.done.discard(number)

    def _end(self, number: int, at_ms: int) -> None:
        since = self.since.pop(number, at_ms)
        if since < at_ms:
            self.over[number].append((since, at_ms))


def _moves(conn: sa.Connection) -> Iterator[_Move]:
    """Yield the moves in their order. An answer's pause began when it was sent, not when the desk heard of it."""
    proposals = {
        number: (kind, outcome_ms)
        for number, kind, outcome_ms in conn.exec_driver_sql("SELECT id, kind, outcome_ms FROM proposals")
    }
    query = sa.text(
        "SELECT at_ms, action, subject, detail FROM audit WHERE action IN :actions ORDER BY seq"
    ).bindparams(sa.bindparam("actions", _ACTIONS, expanding=True))
    rows = conn.execute(query)
    while found := rows.fetchmany(_BATCH):
        for at_ms, action, subject, detail in found:
            yield from _move(at_ms, action, subject, json.loads(detail), proposals)


def _move(
    at_ms: int, action: str, subject: str, detail: dict[str, Any], proposals: dict[int, tuple[str, int | None]]
) -> Iterator[_Move]:
    if action == "proposal.created":
        kind, _ = proposals.get(_number(subject), ("", None))
        if kind == "reply":
            yield _Move(_number(detail["for"]), "asked", at_ms)
    elif action == "ticket.answered":
        _, sent_ms = proposals.get(_number(detail["proposal"]), ("", None))
        yield _Move(_number(subject), "answered", sent_ms or at_ms)
    elif action == "ticket.updated":
        if "status" in detail:
            yield _Move(_number(subject), detail["status"], at_ms)
    else:
        yield _Move(_number(subject), {"ticket.merged": "closed"}.get(action, "open"), at_ms)


def _number(shown: str) -> int:
    return int(shown.partition("-")[2])
