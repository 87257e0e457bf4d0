"""`export tickets | alerts | incidents`: everything stored, as JSON lines, CSV or gzip, in bounded memory."""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, func, select

from opspilot_mcp.app import App
from opspilot_mcp.clock import iso, iso_or_none
from opspilot_mcp.commands import rows
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.store import ids
from opspilot_mcp.store.schema import alerts, incidents, requesters, ticket_tags, tickets

_PAGE = 500
_JSON_COLUMNS = ("labels", "flags", "reason", "also_explained_by", "root_candidates")


async def export(app: App, what: str, path: Path, *, progress: Callable[[int], None]) -> int:
    """Write all tickets, alerts or incidents to `path` (.jsonl or .csv, .gz packed); returns how many.

    The file is made private and appears whole: it is written beside its place first. A CSV cell that a spreadsheet
    would run as a formula is given a leading apostrophe.
    """
    kind = rows.format_of(path)
    if kind == ".json":
        raise InvalidInput("Export writes .jsonl or .csv. Name the file so.")
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with _open(scratch, packed=path.suffix.lower() == ".gz") as file:
            write = _csv_writer(file) if kind == ".csv" else _jsonl_writer(file)
            last = 0
            while page := await app.read(_page, what, after=last):
                for number, record in page:
                    write(record)
                    last = number
                count += len(page)
                progress(count)
        scratch.replace(path)
    except OSError as error:
        raise InvalidInput(f"Cannot write {path.name}: {error.strerror}. Check the folder and free space.") from None
    finally:
        scratch.unlink(missing_ok=True)
    return count


def _open(path: Path, *, packed: bool) -> IO[str]:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    raw = os.fdopen(handle, "wb")
    if packed:
        return io.TextIOWrapper(_Gzip(raw), encoding="utf-8", newline="")
    return io.TextIOWrapper(raw, encoding="utf-8", newline="")


class _Gzip(gzip.GzipFile):
    """A gzip file that closes what it writes to."""

    def __init__(self, raw: IO[bytes]) -> None:
        super().__init__(fileobj=raw, mode="wb", mtime=0)
        self._raw_file = raw

    def close(self) -> None:
        super().close()
        self._raw_file.close()


def _jsonl_writer(file: IO[str]) -> Callable[[dict[str, Any]], None]:
    def write(record: dict[str, Any]) -> None:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")

    return write


def _csv_writer(file: IO[str]) -> Callable[[dict[str, Any]], None]:
    writer: list[csv.DictWriter[str]] = []

    def write(record: dict[str, Any]) -> None:
        if not writer:
            writer.append(csv.DictWriter(file, fieldnames=list(record)))
            writer[0].writeheader()
        writer[0].writerow({name: _cell(value) for name, value in record.items()})

    return write


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        value = (
            ";".join(value) if isinstance(value, list) and all(isinstance(v, str) for v in value) else json.dumps(value)
        )
    # A spreadsheet runs cells that start so (OWASP: CSV injection).
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def _page(conn: Connection, what: str, *, after: int) -> list[tuple[int, dict[str, Any]]]:
    return list(_PAGES[what](conn, after))


def _tickets(conn: Connection, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
    tags = (
        select(func.aggregate_strings(ticket_tags.c.tag, ";"))
        .where(ticket_tags.c.ticket_id == tickets.c.id)
        .scalar_subquery()
        .label("tags")
    )
    query = (
        select(tickets, requesters.c.name.label("requester_name"), requesters.c.address.label("requester_email"), tags)
        .select_from(tickets.outerjoin(requesters, requesters.c.id == tickets.c.requester_id))
        .where(tickets.c.id > after)
        .order_by(tickets.c.id)
        .limit(_PAGE)
    )
    for row in conn.execute(query).mappings():
        record = _plain(dict(row), "T")
        for name in ("queue_key", "requester_id", "breached"):
            record.pop(name)
        record["merged_into"] = ids.shown("T", row["merged_into"]) if row["merged_into"] else None
        record["pauses"] = ["/".join(map(iso, pause)) for pause in json.loads(row["pauses"] or "[]")]
        record["tags"] = row["tags"].split(";") if row["tags"] else []
        yield row["id"], record


def _alerts(conn: Connection, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
    query = select(alerts).where(alerts.c.id > after).order_by(alerts.c.id).limit(_PAGE)
    for row in conn.execute(query).mappings():
        record = {**dict(row), "incident_id": ids.shown("INC", row["incident_id"]) if row["incident_id"] else None}
        # Epoch seconds under the names that `import alerts` reads, so that an export can be imported again.
        record = {
            "id": record.pop("alert_id"),
            "ts": record.pop("ts_ms") / 1000,
            "arr": record.pop("arr_ms") / 1000,
        } | {name: value for name, value in record.items() if name not in ("id", "correlated_ms")}
        yield row["id"], _decoded(record)


def _incidents(conn: Connection, after: int) -> Iterator[tuple[int, dict[str, Any]]]:
    query = select(incidents).where(incidents.c.id > after).order_by(incidents.c.id).limit(_PAGE)
    for row in conn.execute(query).mappings():
        record = _plain(dict(row), "INC")
        record["merged_into"] = ids.shown("INC", row["merged_into"]) if row["merged_into"] else None
        yield row["id"], _decoded(record)


_PAGES: dict[str, Callable[[Connection, int], Iterator[tuple[int, dict[str, Any]]]]] = {
    "tickets": _tickets,
    "alerts": _alerts,
    "incidents": _incidents,
}


def _plain(row: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return a row with its shown id, and its instants as ISO 8601 under names without `_ms`."""
    record: dict[str, Any] = {"id": ids.shown(kind, row.pop("id"))}
    for name, value in row.items():
        if name.endswith("_ms"):
            short = name.removesuffix("_ms")
            record["created_at" if short == "created" else short] = iso_or_none(value)
        else:
            record[name] = value
    return record


def _decoded(record: dict[str, Any]) -> dict[str, Any]:
    for name in _JSON_COLUMNS:
        if isinstance(record.get(name), str):
            record[name] = json.loads(record[name])
    return record
