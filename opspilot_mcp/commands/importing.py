"""`import tickets | alerts | topology`: keeps the good rows, names each bad one, and may be repeated at will."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from opspilot_mcp.aiops import alerts, flow, folding, formats, topologies, topology_files
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.flow import Correlated
from opspilot_mcp.aiops.folding import Folded
from opspilot_mcp.app import App
from opspilot_mcp.clock import parse_ms
from opspilot_mcp.commands import rows
from opspilot_mcp.commands.rows import Row
from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.tickets import NewTicket
from opspilot_mcp.errors import InvalidInput, OpsPilotError, quoted
from opspilot_mcp.store.files import write_private

T = TypeVar("T")

_BATCH = 200
_MAX_KEPT = 64_000_000
_MAX_LEFT_OUT = 12
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}", re.ASCII)

# What other systems call our fields; --map adds to it and wins.
_TICKET_NAMES = {
    "id": "external_id",
    "ticket_id": "external_id",
    "key": "external_id",
    "title": "subject",
    "summary": "subject",
    "description": "body",
    "text": "body",
    "message": "body",
    "email": "requester_email",
    "from": "requester_email",
    "requester": "requester_email",
    "name": "requester_name",
    "created": "created_at",
    "labels": "tags",
}
_TICKET_FIELDS = ("external_id", "subject", "body", "requester_email", "requester_name", "created_at", "tags")


class Problem(NamedTuple):
    """A row that was not taken."""

    line: int
    reason: str
    raw: str


class Imported(NamedTuple):
    """What an import did. `known` rows had been imported before."""

    stored: int
    known: int
    rejected: list[Problem]
    rejected_file: Path | None
    correlated: Correlated | None = None  # what the alerts were folded into, where that was asked
    left_out: tuple[str, ...] = ()  # columns of tickets that nothing was read from


Progress = Callable[[int], None]  # bytes of the file read so far


def no_progress(_: int) -> None:
    return None


async def import_tickets(
    app: App,
    path: Path,
    *,
    mapping: dict[str, str],
    source: str = "import",
    strict: bool = False,
    progress: Progress = no_progress,
) -> Imported:
    """Import support tickets as an operator: their requesters count as verified."""
    check_mapping(mapping, _TICKET_FIELDS)
    left_out: dict[str, None] = {}

    def parse(row: dict[str, Any]) -> list[NewTicket]:
        if len(left_out) < _MAX_LEFT_OUT:
            left_out.update((name, None) for name in row if name not in mapping and _ours(name) is None)
        new = ticket_of(row, mapping)
        if not (new.subject or new.body):
            raise InvalidInput(_no_words(row))
        tickets.check(new, now=app.now())
        return [new]

    async def store(batch: Sequence[NewTicket]) -> tuple[int, int]:
        return await app.write(
            tickets.receive_many, batch, actor=app.principal, source=source, policy=app.policy, now=app.now()
        )

    done = await _import(path, parse, store, strict=strict, progress=progress)
    return done._replace(left_out=tuple(left_out)[:_MAX_LEFT_OUT])


def ticket_of(row: dict[str, Any], mapping: dict[str, str]) -> NewTicket:
    """Return the ticket in a row; fields we do not keep are left out. Raises InvalidInput naming the field."""
    named = _named(row, mapping)
    texts = {name: text_of(named.get(name), name) for name in _TICKET_FIELDS if name not in ("created_at", "tags")}
    created = named.get("created_at")
    return NewTicket(
        subject=texts["subject"] or "",
        body=texts["body"] or "",
        requester_email=texts["requester_email"],
        requester_name=texts["requester_name"],
        external_id=texts["external_id"],
        created_ms=None if created in (None, "") else parse_ms(created),
        tags=_tags(named.get("tags")),
    )


def check_mapping(mapping: dict[str, str], fields: Sequence[str]) -> None:
    """Raise InvalidInput where --map names a field that is not among `fields`."""
    wrong = sorted(set(mapping.values()) - set(fields))
    if wrong:
        raise InvalidInput(f"--map names {quoted(wrong[0])}, not a field. Known: {', '.join(fields)}.")


def _no_words(row: dict[str, Any]) -> str:
    """Return what is wrong with a ticket that says nothing; its columns are named, as --map may be what it lacks."""
    names = ", ".join(quoted(name) for name in list(row)[:8]) or "none"
    return f"The ticket has neither subject nor body. Its columns: {names}. Name one with --map theirs=subject."


def _ours(theirs: str) -> str | None:
    """Return the field a column is read as without --map; None where nobody would know."""
    lowered = theirs.strip().lower()
    return lowered if lowered in _TICKET_FIELDS else _TICKET_NAMES.get(lowered)


def _named(row: dict[str, Any], mapping: dict[str, str]) -> dict[str, Any]:
    """Return the row under our names. A filled field of ours beats a customary one, --map beats both."""
    named: dict[str, Any] = {}
    for theirs, value in row.items():
        ours = _ours(theirs)
        if ours and row.get(ours) in (None, ""):
            named.setdefault(ours, value)
    named |= {name: value for name, value in row.items() if name in _TICKET_FIELDS and value not in (None, "")}
    return named | {ours: row[theirs] for theirs, ours in mapping.items() if theirs in row}


def text_of(value: Any, name: str) -> str | None:
    """Return a field's text, a number's as it is written. Raises InvalidInput naming the field."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise InvalidInput(f"{name} is not text. Map another column to it with --map theirs={name}.")


def _tags(value: Any) -> tuple[str, ...]:
    if value in (None, ""):
        return ()
    if isinstance(value, str):
        return tuple(part for part in value.replace(",", ";").split(";") if part.strip())
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    raise InvalidInput('tags is not a list of words. Write ["a", "b"], or a;b in a CSV.')


async def import_alerts(
    app: App,
    path: Path,
    *,
    mapping: dict[str, str],
    source: str | None = None,
    strict: bool = False,
    correlate: bool = False,
    progress: Progress = no_progress,
) -> Imported:
    """Import alerts in any format `aiops/formats` knows; each row may hold one or many.

    `correlate` folds each batch in the transaction that stores it: half the writes of folding it later.
    """
    check_mapping(mapping, formats.CANONICAL_FIELDS)
    formats.check_name(source)
    folds: list[Folded] = []

    def parse(row: dict[str, Any]) -> list[Alert]:
        ours_to_theirs = {ours: theirs for theirs, ours in mapping.items()}
        return formats.parse(_unpacked(row), source=source, now_ms=app.now(), mapping=ours_to_theirs or None)

    async def store(batch: Sequence[Alert]) -> tuple[int, int]:
        if not correlate:
            got = await app.write(alerts.receive, batch, actor=app.principal, now=app.now())
        else:
            got, fold = await app.write(folding.take, batch, actor=app.principal, now=app.now(), books=app.runbooks)
            folds.append(fold)
        return got.stored, got.repeated

    done = await _import(path, parse, store, strict=strict, progress=progress, size=alerts.BATCH)
    if not correlate or not done.stored:
        return done
    found = await flow.finish(app.db, folds, actor=app.principal, now=app.now(), books=app.runbooks)
    return done._replace(correlated=found)


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    """Return an alert's row with its labels as an object: a CSV cell can hold them only as JSON, or not at all."""
    labels = row.get("labels")
    if not isinstance(labels, str):
        return row
    try:
        return {**row, "labels": json.loads(labels or "{}")}
    except (ValueError, RecursionError):
        raise InvalidInput('labels is not JSON. Write {"name": "value"}.') from None


async def _import(
    path: Path,
    parse: Callable[[dict[str, Any]], list[T]],
    store: Callable[[Sequence[T]], Awaitable[tuple[int, int]]],
    *,
    strict: bool,
    progress: Progress,
    size: int = _BATCH,
) -> Imported:
    """Store the good rows in batches; with `strict`, all rows in one transaction or none."""
    problems = Problems()
    rejected = problems.found
    stored = known = 0
    batch: list[T] = []
    for row in rows.read(path):
        progress(row.at)
        good = attempt(row, parse, problems)
        batch += good
        if len(batch) >= size and not strict:
            new, old = await store(batch)
            stored, known, batch = stored + new, known + old, []
    if strict and rejected:
        return Imported(0, 0, rejected, keep_rejected(path, rejected))
    if batch:
        new, old = await store(batch)
        stored, known = stored + new, known + old
    if not stored and not known and not rejected:
        raise InvalidInput(f"{path.name} holds no rows. Give a file with at least one.")
    return Imported(stored, known, rejected, keep_rejected(path, rejected) if rejected else None)


class Problems:
    """The rows that were not taken. Their text is kept whole up to _MAX_KEPT characters together, then cut."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self._room = _MAX_KEPT

    def add(self, row: Row, reason: str) -> None:
        """Keep a row that was not taken, and why."""
        raw = row.raw if len(row.raw) <= self._room else row.raw[:200]
        self._room -= len(raw)
        self.found.append(Problem(row.line, reason, raw))


def attempt(row: Row, parse: Callable[[dict[str, Any]], list[T]], problems: Problems) -> list[T]:
    """Return what `parse` makes of a row; where it cannot, the row is added to `problems`."""
    if row.data is None:
        problems.add(row, row.problem or "The row cannot be read.")
        return []
    try:
        return parse(row.data)
    except OpsPilotError as error:
        problems.add(row, str(error))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        # A shape no reader foresaw must not end the import of the other rows.
        problems.add(row, f"The row cannot be read ({type(error).__name__}).")
    return []


def keep_rejected(path: Path, rejected: Sequence[Problem]) -> Path:
    """Write the bad rows beside the file, each with its line and reason, so that nothing is lost. Returns where."""
    target = path.with_name(f"{path.name}.rejected.jsonl")
    body = "".join(json.dumps(problem._asdict()) + "\n" for problem in rejected)
    try:
        return write_private(target, body.encode())
    except OSError:
        # Beside the file is not always writable; the working folder is the next best place to look.
        return write_private(Path.cwd() / target.name, body.encode())


async def import_topology(app: App, path: Path) -> topologies.Saved:
    """Import a topology in JSON or YAML and put it in force."""
    return await app.write(topologies.save, topology_files.read(path), actor=app.principal, now=app.now())


def check_source(source: str) -> None:
    """Refuse a source name that is not a short handle, or one that agents' tickets carry."""
    if not _SOURCE.fullmatch(source) or source == "agent":
        raise InvalidInput(f"{quoted(source)} is not a source name. Use up to 40 letters, digits, - and _.")
