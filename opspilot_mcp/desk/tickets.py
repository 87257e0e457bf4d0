"""The ticket: its record, how it arrives, how one is read and changed. The queue of them is in `queue.py`."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, Select, bindparam, func, insert, literal, select, update

from opspilot_mcp import text
from opspilot_mcp.desk import sla
from opspilot_mcp.errors import InvalidInput, NotFound, quoted
from opspilot_mcp.policy import Policy, PriorityName
from opspilot_mcp.store import audit, fulltext, idempotency, ids
from opspilot_mcp.store.schema import drafts, notes, replies, requesters, ticket_tags, tickets, triages

Status = Literal["open", "in_review", "human_review", "escalated", "pending", "resolved", "closed"]
Priority = PriorityName
Sentiment = Literal["positive", "neutral", "negative", "urgent"]
Tier = Literal["L1", "L2", "L3", "human"]

MAX_SUBJECT = 300
MAX_BODY = 200_000
MAX_NAME = 120
MAX_EXTERNAL_ID = 200
MAX_TAGS = 20
_TAG_READ = 400  # characters of a tag that are looked at; 40 are kept

OPEN = sla.IN_QUEUE


class Ticket(BaseModel):
    """One ticket as stored, with its tags. Subject, body, requester's name and address are strangers' text."""

    model_config = ConfigDict(frozen=True)

    number: int
    version: int
    source: str
    external_id: str | None
    subject: str
    body: str
    requester_id: int | None
    requester_name: str | None
    requester_address: str | None
    requester_verified: bool
    status: Status
    assignee: str | None
    queue: str | None
    tier: Tier | None
    category: str | None
    priority: Priority | None
    sentiment: Sentiment | None
    confidence: float | None
    certified: bool | None
    escalate: bool
    triaged_ms: int | None
    created_ms: int
    updated_ms: int
    first_response_due_ms: int
    resolution_due_ms: int
    next_due_ms: int | None
    responded_ms: int | None
    resolved_ms: int | None
    paused_ms: int | None
    pauses: tuple[sla.Pause, ...] = ()
    breached: str
    merged_into: int | None
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return ids.shown("T", self.number)

    @property
    def next_target(self) -> str:
        """Which promise `next_due_ms` is about."""
        return "resolution" if self.responded_ms is not None else "first_response"


class NewTicket(BaseModel):
    """A ticket as somebody sends it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subject: str = ""
    body: str = ""
    requester_email: str | None = None
    requester_name: str | None = None
    external_id: str | None = None
    created_ms: int | None = None
    tags: tuple[str, ...] = ()


class Message(NamedTuple):
    """One entry of a ticket's thread. `kind` is in, out (public), note (internal) or draft."""

    kind: str
    author: str
    body: str
    at_ms: int


class Received(NamedTuple):
    """A ticket and whether this call created it."""

    ticket: Ticket
    is_new: bool


# -- arrival -----------------------------------------------------------------------------------------------------------

_BY_EXTERNAL = select(tickets.c.id).where(
    tickets.c.source == bindparam("source"), tickets.c.external_id == bindparam("external_id")
)
_INSERT = insert(tickets).returning(tickets.c.id)
_REQUESTER = select(requesters.c.id).where(requesters.c.address == bindparam("address"))


def receive(
    conn: Connection,
    new: NewTicket,
    *,
    actor: str,
    source: str,
    verified: bool,
    policy: Policy,
    now: int,
    idempotency_key: str | None = None,
) -> Received:
    """Store a ticket, or return the one that came before with the same source and external id, or the same key.

    `verified` is the door's word that the requester is who they say (an operator's import, a signed hook), never the
    sender's. Raises InvalidInput when there is neither subject nor body, or a value cannot be taken.
    """
    ready = _ready(new, now=now)
    known = _known(conn, source, ready.external_id)
    if known is not None:
        return Received(get(conn, ids.shown("T", known)), False)

    def make() -> str:
        number = _store(conn, ready, source=source, verified=verified, policy=policy, now=now)
        shown = ids.shown("T", number)
        audit.record(conn, actor, "ticket.created", shown, now=now, detail={"source": source})
        return shown

    request = {"source": source, **new.model_dump(mode="json")}
    shown, is_new = idempotency.once(conn, actor, idempotency_key, request, make, now=now)
    return Received(get(conn, shown), is_new)


def receive_many(
    conn: Connection, batch: Sequence[NewTicket], *, actor: str, source: str, policy: Policy, now: int
) -> tuple[int, int]:
    """Store an operator's batch as verified tickets; returns (new, already known). One audit row for all.

    Raises InvalidInput, and stores nothing, when any row cannot be taken: check rows with `check` first.
    """
    created: list[str] = []
    for new in batch:
        ready = _ready(new, now=now)
        if _known(conn, source, ready.external_id) is None:
            number = _store(conn, ready, source=source, verified=True, policy=policy, now=now)
            created.append(ids.shown("T", number))
    if created:
        audit.record_batch(conn, actor, "ticket.imported", "import", created, now=now)
    return len(created), len(batch) - len(created)


def check(new: NewTicket, *, now: int) -> None:
    """Raise InvalidInput when `receive` would refuse this ticket."""
    _ready(new, now=now)


class _Ready(NamedTuple):
    subject: str
    body: str
    address: str | None
    name: str
    external_id: str | None
    created_ms: int
    tags: tuple[str, ...]


def _ready(new: NewTicket, *, now: int) -> _Ready:
    """Clean a stranger's ticket. A body past MAX_BODY is cut and says so in its last line."""
    subject, cut_subject = text.cap(text.one_line(new.subject), MAX_SUBJECT)
    body, cut = text.cap(text.clean(new.body[: 4 * MAX_BODY]).strip(), MAX_BODY)
    cut += max(0, len(new.body) - 4 * MAX_BODY)
    if not subject and not body:
        raise InvalidInput("The ticket has neither subject nor body. Give at least one of them.")
    if cut_subject:
        body = f"{body}\n\n[subject cut: {cut_subject} characters]"
    if cut:
        body = f"{body}\n\n[cut: {cut} characters of {len(new.body)}]"
    created = now if new.created_ms is None else new.created_ms
    if created > now + 86_400_000:
        raise InvalidInput("created_at lies more than a day in the future. Check the clock or the time zone.")
    external = text.one_line(new.external_id) if new.external_id else None
    if external and len(external) > MAX_EXTERNAL_ID:
        raise InvalidInput(f"external_id has {len(external)} characters, more than {MAX_EXTERNAL_ID}. Shorten it.")
    return _Ready(
        subject or text.cap(text.one_line(body), 80)[0],
        body,
        _address(new.requester_email),
        text.cap(text.one_line(new.requester_name or ""), MAX_NAME)[0],
        external,
        created,
        clean_tags(new.tags),
    )


def _address(given: str | None) -> str | None:
    """Return one plain, lower-case mail address, or None. Anything that could mean two recipients is refused."""
    if given is None or not given.strip():
        return None
    address = given.strip()
    local, at, domain = address.rpartition("@")
    fits = address.isascii() and 3 <= len(address) <= 254 and at and 1 <= len(local) <= 64 and "." in domain
    plain = all(char.isalnum() or char in "@.!#$%&'*+/=?^_`{|}~-" for char in address)
    if not fits or not plain or "@" in local or ".." in address or domain[0] in ".-" or domain[-1] in ".-":
        raise InvalidInput("The requester's address is not one plain mail address. Write name@example.com.")
    return address.lower()


def clean_tags(given: Iterable[str]) -> tuple[str, ...]:
    """Return tags as stored: lower case, words joined by `_`, sorted, unique. Raises InvalidInput past 20 tags."""
    # `;` and `,` part tags in files, so no tag can hold one.
    kept = {"_".join(re.split(r"[\s;,]+", text.one_line(tag[:_TAG_READ]).lower()))[:40].strip("_") for tag in given}
    if len(kept) > MAX_TAGS:
        raise InvalidInput(f"{len(kept)} tags are more than {MAX_TAGS}. Keep those that matter.")
    return tuple(sorted(tag for tag in kept if tag))


def _known(conn: Connection, source: str, external_id: str | None) -> int | None:
    if external_id is None:
        return None
    found: int | None = conn.execute(_BY_EXTERNAL, {"source": source, "external_id": external_id}).scalar()
    return found


def by_external_id(conn: Connection, source: str, external_id: str) -> str:
    """Return the id of the ticket that a source calls so. Raises NotFound."""
    found = _known(conn, source, external_id)
    if found is None:
        raise NotFound(f"No ticket of {quoted(source)} is called {quoted(external_id)}. Import the ticket first.")
    return ids.shown("T", found)


def _store(conn: Connection, ready: _Ready, *, source: str, verified: bool, policy: Policy, now: int) -> int:
    due = sla.targets(ready.created_ms, None, policy)
    requester = _requester(conn, ready.address, ready.name, now=now) if ready.address else None
    number: int = conn.execute(
        _INSERT,
        {
            "version": 1,
            "source": source,
            "external_id": ready.external_id,
            "subject": ready.subject,
            "body": ready.body,
            "requester_id": requester,
            "requester_verified": verified and requester is not None,
            "status": "open",
            "escalate": False,
            "created_ms": ready.created_ms,
            "updated_ms": now,
            **due.model_dump(),
            "next_due_ms": due.first_response_due_ms,
            "queue_key": due.first_response_due_ms,
            "breached": "",
        },
    ).scalar_one()
    set_tags(conn, number, ready.tags)
    fulltext.index(conn, [(number, ready.subject, ready.body)])
    return number


def _requester(conn: Connection, address: str, name: str, *, now: int) -> int:
    """Return the requester with this address, stored on first sight. An existing name is never changed by a ticket."""
    found: int | None = conn.execute(_REQUESTER, {"address": address}).scalar()
    if found is None:
        found = conn.execute(
            insert(requesters).values(address=address, name=name, created_ms=now).returning(requesters.c.id)
        ).scalar_one()
    return found


def set_tags(conn: Connection, number: int, tags: Sequence[str]) -> None:
    """Make `tags` the ticket's only tags."""
    conn.execute(ticket_tags.delete().where(ticket_tags.c.ticket_id == number))
    if tags:
        conn.execute(insert(ticket_tags), [{"ticket_id": number, "tag": tag} for tag in tags])


# -- reading -----------------------------------------------------------------------------------------------------------

COLUMNS: Select[Any] = select(
    tickets,
    requesters.c.name.label("requester_name"),
    requesters.c.address.label("requester_address"),
).select_from(tickets.outerjoin(requesters, requesters.c.id == tickets.c.requester_id))
_ONE = COLUMNS.where(tickets.c.id == bindparam("number"))
_TAGS = select(ticket_tags.c.tag).where(ticket_tags.c.ticket_id == bindparam("number")).order_by(ticket_tags.c.tag)


def record(row: Row[Any], tags: Sequence[str] = ()) -> Ticket:
    """Return the ticket in a row of `COLUMNS`."""
    values = dict(row._mapping)
    values["number"] = values.pop("id")
    values.pop("queue_key")
    values["pauses"] = json.loads(values["pauses"]) if values["pauses"] else ()
    return Ticket.model_validate({**values, "tags": tuple(tags)})


def get(conn: Connection, ticket_id: str) -> Ticket:
    """Return one ticket with its tags. Raises InvalidInput for a malformed id, NotFound for an unknown one."""
    number = ids.number("T", ticket_id)
    row = conn.execute(_ONE, {"number": number}).first()
    if row is None:
        raise NotFound(f"There is no {ids.shown('T', number)}. list_open_tickets or search_tickets shows what exists.")
    return record(row, conn.execute(_TAGS, {"number": number}).scalars().all())


def _thread() -> Select[Any]:
    public = select(replies.c.direction.label("kind"), literal("").label("author"), replies.c.body, replies.c.at_ms)
    internal = select(literal("note").label("kind"), notes.c.author, notes.c.body, notes.c.at_ms)
    both = (
        public.where(replies.c.ticket_id == bindparam("number"))
        .union_all(internal.where(notes.c.ticket_id == bindparam("number")))
        .subquery()
    )
    total = func.count().over().label("total")
    return select(both, total).order_by(both.c.at_ms.desc()).limit(bindparam("most"))


_THREAD = _thread()
_DRAFT = select(drafts).where(drafts.c.ticket_id == bindparam("number")).order_by(drafts.c.id.desc()).limit(1)
_WHY = select(triages.c.why).where(triages.c.ticket_id == bindparam("number")).order_by(triages.c.id.desc()).limit(1)


def thread(conn: Connection, number: int, *, limit: int = 50) -> tuple[list[Message], int]:
    """Return a ticket's newest `limit` messages and notes, oldest first, and how many older ones are left out."""
    rows = conn.execute(_THREAD, {"number": number, "most": limit}).all()
    left_out = rows[0].total - len(rows) if rows else 0
    return [Message(row.kind, row.author, row.body, row.at_ms) for row in reversed(rows)], left_out


def latest_draft(conn: Connection, number: int) -> Message | None:
    """Return the newest draft of a ticket, its engine as author; None when there is none."""
    row = conn.execute(_DRAFT, {"number": number}).first()
    return None if row is None else Message("draft", row.engine, row.body, row.at_ms)


def latest_why(conn: Connection, number: int) -> list[str]:
    """Return the sentences of the newest triage; empty when it was never triaged."""
    why: str | None = conn.execute(_WHY, {"number": number}).scalar()
    return json.loads(why) if why else []


# -- changing ----------------------------------------------------------------------------------------------------------


def change(conn: Connection, ticket: Ticket, values: dict[str, object], *, now: int) -> bool:
    """Write `values` if the ticket is still at the version we read; False when somebody was first.

    The clock's columns follow: `next_due_ms` and the queue key are recomputed from the values that result.
    """
    place = placed({**ticket.model_dump(), **values})
    won = conn.execute(
        update(tickets)
        .where(tickets.c.id == ticket.number, tickets.c.version == ticket.version)
        .values(**values, version=ticket.version + 1, updated_ms=now, **place)
    ).rowcount
    return won == 1


def placed(after: Mapping[str, Any]) -> dict[str, int | None]:
    """Return `next_due_ms` and `queue_key` of a ticket with these columns."""
    due = sla.Targets(
        first_response_due_ms=after["first_response_due_ms"], resolution_due_ms=after["resolution_due_ms"]
    )
    left = sla.next_due(due, responded=after["responded_ms"] is not None, resolved=after["resolved_ms"] is not None)
    next_due_ms = left[1] if left else None
    key = sla.queue_key(after["status"], next_due_ms, is_paused=after["paused_ms"] is not None)
    return {"next_due_ms": next_due_ms, "queue_key": key}
