"""How the gate looks at the desk's database: as at a file a stranger wrote.

Nothing in it is believed beyond what it says about itself: every statement is bounded in time and size, triggers
and views inside the file cannot run, and only the columns the gate must write can be written.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Column, ColumnElement, Connection, RowMapping, bindparam, func, select, update
from sqlalchemy.exc import DBAPIError

from opspilot_mcp.errors import OpsPilotError, StoreBusy, StoreUnusable, quoted
from opspilot_mcp.gate import canonical
from opspilot_mcp.store import ids, sqlite
from opspilot_mcp.store.schema import DESK, gate_status, incidents, proposals, replies, requesters, tickets

P = ParamSpec("P")
T = TypeVar("T")

_LIMIT_BYTES = 8_000_000
_STEP_S = 3.0
_BUSY_MS = 2_000
BATCH = 200
_THREAD_CHARS = 400_000
# What the gate may write there. Everything else in the file is for reading.
_MAY_UPDATE = {(proposals.name, name) for name in ("outcome", "outcome_detail", "outcome_ms", "sent_body", "asked")} | {
    (gate_status.name, column.name) for column in gate_status.columns
}
_HARMLESS = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}


class DeskChanged(StoreUnusable):
    """The desk's file holds code of somebody else: what that stands on is neither read nor written."""


class SourceRow(BaseModel):
    """A proposal as the desk holds it, and what it is about. Every text is a stranger's."""

    model_config = ConfigDict(frozen=True, strict=True)

    number: int = Field(ge=1, lt=10**15)
    kind: str = Field(pattern=r"^(reply|page)$")
    subject: str = Field(pattern=r"^(T|INC)-[1-9][0-9]{0,14}$")
    subject_version: int
    requester_id: int | None
    channel: str = Field(max_length=200)
    title: str = Field(max_length=2_000)
    body: str = Field(max_length=200_000)
    principal: str = Field(max_length=500)
    asked: str = Field(pattern=r"^(send|hold|withdraw)$")
    asked_by: str | None = Field(default=None, max_length=500)
    outcome: str | None = Field(max_length=500)

    @property
    def sha256(self) -> str:
        """The digest of everything that decides what is sent and to whom: a change of the row shows."""
        fields = (self.kind, self.subject, self.requester_id, self.channel, self.title, self.body, self.principal)
        return canonical.sha256(canonical.text({"row": list(fields)}).encode())


class Facts(BaseModel):
    """What the desk says, now, about the ticket or incident of a message."""

    model_config = ConfigDict(frozen=True, strict=True)

    status: str
    version: int
    is_merged: bool
    requester_id: int | None = None
    address: str | None = Field(default=None, max_length=320)
    is_verified: bool = False
    thread: str = ""  # what the customer and we wrote: details found here are not somebody else's


class Look(BaseModel):
    """One proposal and its subject, read in one transaction. `facts` is None when the subject does not exist."""

    model_config = ConfigDict(frozen=True)

    row: SourceRow | None
    facts: Facts | None


Authorize = Callable[[int, str | None, str | None, str | None, str | None], int]


class Desk:
    """The gate's connection to the desk database, opened when the file exists.

    `may` decides what each statement may touch, as SQLite's authorizer is asked; `step_s` bounds each transaction.
    """

    def __init__(self, path: Path, may: Authorize | None = None, *, step_s: float = _STEP_S) -> None:
        self.path = path
        self._may = may or _authorize
        self._step_s = step_s
        self._thread: sqlite.ThreadConnection | None = None
        self._reading: Connection | None = None
        self._writing: Connection | None = None
        self._opening = asyncio.Lock()

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(conn, ...)` on one bounded snapshot. Raises StoreUnusable while there is no desk."""
        thread = await self._open()
        return await thread.run(lambda: self._transact(self._reading, lambda conn: fn(conn, *args, **kwargs)))

    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `fn(conn, ...)` as one bounded write transaction. Raises StoreUnusable while there is no desk."""
        thread = await self._open()
        return await thread.run(lambda: self._transact(self._writing, lambda conn: fn(conn, *args, **kwargs)))

    async def _open(self) -> sqlite.ThreadConnection:
        # Two first users at once would open two threads and use one's connection in the other: a deadlock.
        async with self._opening:
            if self._thread is None:
                if not await asyncio.to_thread(self.path.exists):
                    raise StoreUnusable("There is no desk database yet. Start opspilot-mcp once.")
                thread = sqlite.ThreadConnection(partial(connect, self.path), 64)
                thread._thread.daemon = True
                await thread
                self._reading, self._writing = await thread.run(lambda: sit(thread._conn, self._may))
                self._thread = thread
            return self._thread

    def _transact(self, conn: Connection | None, work: Callable[[Connection], T]) -> T:
        assert conn is not None  # noqa: S101 - _open came first
        deadline = time.monotonic() + self._step_s
        raw = conn.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101
        raw.set_progress_handler(lambda: int(time.monotonic() > deadline), 10_000)
        try:
            with conn.begin():
                found = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
                if found != DESK.head:
                    raise StoreUnusable(
                        f"The desk has schema {quoted(found)}, this gate reads {DESK.head}. Restart both."
                    )
                return work(conn)
        except DBAPIError as error:
            raise _meaning(error, self.path, raw) from error

    async def close(self) -> None:
        """Close the connection."""
        if self._thread is None:
            return
        for conn in (self._reading, self._writing):
            if conn is not None:
                await self._thread.run(conn.close)
        await self._thread.close()
        self._thread = self._reading = self._writing = None


def _meaning(error: DBAPIError, path: Path, raw: sqlite3.Connection) -> OpsPilotError:
    if sqlite.is_busy(error):
        return StoreBusy("The desk database is locked. Nothing was changed; the gate tries again.")
    if getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_AUTH:
        return DeskChanged(
            f"{path} holds {_planted(raw)}, which the gate does not run: somebody changed that file. Only what is "
            "signed leaves, but agents may not hear what became of it. Look at the file, take that out (DROP TRIGGER "
            "or DROP VIEW), or restore the desk from a backup."
        )
    return sqlite.meaning(error.orig or error, path)


_FOREIGN = (
    "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') AND (tbl_name IN ('proposals', "
    "'gate_status') OR name IN ('tickets', 'requesters', 'replies', 'incidents', 'alembic_version')) LIMIT 3"
)


def _planted(raw: sqlite3.Connection) -> str:
    """Return what code stands in the desk's file where the desk puts none."""
    try:
        found = [f"the {kind} {quoted(name)}" for kind, name in raw.execute(_FOREIGN)]
    except sqlite3.Error:
        found = []
    return " and ".join(found) or "a trigger or a view"


def connect(path: Path) -> sqlite3.Connection:
    """Open the desk's file with its own code switched off and everything bounded."""
    raw = sqlite.connect(path)
    raw.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    raw.execute("PRAGMA cell_size_check = ON")
    raw.execute("PRAGMA mmap_size = 0")
    raw.text_factory = sqlite.text_or_bytes  # a field of ours takes no bytes
    raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LIMIT_BYTES)
    raw.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    raw.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1)
    return raw


def sit(raw: sqlite3.Connection, may: Authorize | None = None) -> tuple[Connection, Connection]:
    """Return connections on `raw` for reading and for writing that may do what `may` lets through, and no more."""
    reading = sqlite.engine_over(raw, begin="BEGIN").connect()
    writing = sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").connect()
    raw.set_authorizer(may or _authorize)  # after the engines' own first questions
    return reading, writing


def may_read(action: int, inner: str | None) -> bool:
    """Whether this is a plain read of a table: not one that a view or trigger of the file does."""
    return inner is None and (action == sqlite3.SQLITE_READ or action in _HARMLESS)


def _authorize(action: int, first: str | None, second: str | None, _schema: str | None, inner: str | None) -> int:
    """Let through reads of tables and the gate's own few writes; refuse all that a view or trigger would do."""
    if inner is not None:
        return sqlite3.SQLITE_DENY
    if may_read(action, inner):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_UPDATE and (first, second) in _MAY_UPDATE:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_INSERT and first == gate_status.name:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


# -- reading -----------------------------------------------------------------------------------------------------------


def _start(column: Column[Any], most: int) -> ColumnElement[Any]:
    """Read one character more than is taken: two hundred cells of eight megabytes each would not fit in memory."""
    return func.substr(column, 1, most + 1).label(column.name)


_COLUMNS = [
    proposals.c.id.label("number"),
    proposals.c.subject_version,
    proposals.c.requester_id,
    _start(proposals.c.title, 2_000),
    _start(proposals.c.body, 200_000),
    *(
        _start(column, 500)
        for column in (
            proposals.c.kind,
            proposals.c.subject,
            proposals.c.channel,
            proposals.c.principal,
            proposals.c.asked,
            proposals.c.asked_by,
            proposals.c.outcome,
        )
    ),
]


_PROPOSALS = select(*_COLUMNS).where(proposals.c.id.in_(bindparam("ids", expanding=True)))
# A number no room of ours gives (0, -5, a text in a table made anew) could be neither taken nor answered.
_NUMBERS = proposals.c.id.between(1, 10**15 - 1)
_UNSEEN = select(proposals.c.id).where(proposals.c.outcome.is_(None), _NUMBERS).order_by(proposals.c.id).limit(BATCH)


def unseen(conn: Connection, *, skip: frozenset[int] = frozenset()) -> list[tuple[int, Look]]:
    """Return (number, look) for proposals no gate has answered yet, oldest first, but for those in `skip`."""
    query = _UNSEEN.where(proposals.c.id.not_in(skip)) if skip else _UNSEEN
    numbers = [int(number) for number in conn.execute(query).scalars()]
    found = _looks(conn, numbers, thread=True)
    return [(number, found.get(number, Look(row=None, facts=None))) for number in numbers]


def look_whole(conn: Connection, numbers: list[int]) -> dict[int, Look]:
    """Return `look_at` with each ticket's thread, which the flags of a new wording need."""
    return _looks(conn, numbers, thread=True)


def look_at(conn: Connection, numbers: list[int]) -> dict[int, Look]:
    """Return what the desk says now of these proposals; one that is gone is missing."""
    found: dict[int, Look] = {}
    for start in range(0, len(numbers), BATCH):
        found |= _looks(conn, numbers[start : start + BATCH], thread=False)
    return found


def _looks(conn: Connection, numbers: list[int], *, thread: bool) -> dict[int, Look]:
    sources: dict[int, SourceRow | None] = {}
    for number, row in _rows(conn, numbers).items():
        try:
            sources[number] = SourceRow.model_validate(row)
        except ValidationError:
            sources[number] = None
    facts = _facts(conn, [source for source in sources.values() if source], thread=thread)
    return {
        number: Look(row=source, facts=facts.get(source.subject)) if source else Look(row=None, facts=None)
        for number, source in sources.items()
    }


def _rows(conn: Connection, numbers: list[int]) -> dict[int, dict[str, object]]:
    """Return proposals by number; one that breaks the limits is left out, and does not hide the others."""
    try:
        rows = conn.execute(_PROPOSALS, {"ids": numbers}).mappings().all()
        return {int(row["number"]): dict(row) for row in rows}
    except DBAPIError as error:
        if not _is_too_big(error):
            raise
        if len(numbers) == 1:
            return {}
    found: dict[int, dict[str, object]] = {}
    for number in numbers:
        found |= _rows(conn, [number])
    return found


def _is_too_big(error: DBAPIError) -> bool:
    return getattr(error.orig, "sqlite_errorcode", 0) == sqlite3.SQLITE_TOOBIG


_TICKETS = (
    select(
        tickets.c.id,
        _start(tickets.c.status, 500),
        tickets.c.version,
        tickets.c.merged_into,
        tickets.c.requester_id,
        tickets.c.requester_verified,
        _start(requesters.c.address, 320),
    )
    .outerjoin(requesters, requesters.c.id == tickets.c.requester_id)
    .where(tickets.c.id.in_(bindparam("ids", expanding=True)))
)
_INCIDENTS = select(incidents.c.id, _start(incidents.c.state, 500), incidents.c.version, incidents.c.merged_into).where(
    incidents.c.id.in_(bindparam("ids", expanding=True))
)
_OPENING = select(_start(tickets.c.subject, _THREAD_CHARS), _start(tickets.c.body, _THREAD_CHARS)).where(
    tickets.c.id == bindparam("ticket")
)
_REPLIES = (
    select(_start(replies.c.body, _THREAD_CHARS))
    .where(replies.c.ticket_id == bindparam("ticket"))
    .order_by(replies.c.id.desc())
    .limit(100)
)


def _facts(conn: Connection, rows: list[SourceRow], *, thread: bool) -> dict[str, Facts]:
    """Return what the desk says of the tickets and incidents of `rows`, by their ids; the unreadable are missing."""
    wanted = {row.subject for row in rows}
    ticket_ids = [ids.number("T", one) for one in wanted if one.startswith("T-")]
    incident_ids = [ids.number("INC", one) for one in wanted if one.startswith("INC-")]
    found: dict[str, Facts] = {}
    for row in conn.execute(_TICKETS, {"ids": ticket_ids}).mappings() if ticket_ids else ():
        with suppress(ValidationError):
            found[ids.shown("T", row["id"])] = _ticket_facts(conn, row, thread=thread)
    for row in conn.execute(_INCIDENTS, {"ids": incident_ids}).mappings() if incident_ids else ():
        with suppress(ValidationError):
            merged = row["merged_into"] is not None or row["state"] == "merged"
            facts = Facts(status=row["state"], version=row["version"], is_merged=merged)
            found[ids.shown("INC", row["id"])] = facts
    return found


def _ticket_facts(conn: Connection, row: RowMapping, *, thread: bool) -> Facts:
    return Facts(
        status=row["status"],
        version=row["version"],
        is_merged=row["merged_into"] is not None,
        requester_id=row["requester_id"],
        address=row["address"],
        is_verified=row["requester_verified"] is True,
        thread=_thread(conn, row["id"]) if thread else "",
    )


def _thread(conn: Connection, ticket: int) -> str:
    """Return what was written on the ticket, newest replies kept; "" when it is too big to read, so all is flagged."""
    try:
        opening = conn.execute(_OPENING, {"ticket": ticket}).one()
        bodies = conn.execute(_REPLIES, {"ticket": ticket}).scalars().all()
    except DBAPIError as error:
        if not _is_too_big(error):
            raise
        return ""
    return "\n".join(str(part) for part in (*opening, *bodies))[:_THREAD_CHARS]


def clear_hold(conn: Connection, number: int) -> None:
    """Take back the agents' wish to stop a message once a person has lifted it, so that it can be asked again."""
    conn.execute(update(proposals).where(proposals.c.id == number, proposals.c.asked != "send").values(asked="send"))
