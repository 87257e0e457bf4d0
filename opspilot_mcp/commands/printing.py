"""How commands speak: tables for people, JSON for scripts, a bar for long work. Strangers' text is cleaned first."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from opspilot_mcp import text

MAX_WIDTH = 100


def console() -> Console:
    """Return a console on stdout, at most 100 columns wide."""
    found = Console()
    return Console(width=min(found.width, MAX_WIDTH)) if found.is_terminal else Console(width=MAX_WIDTH)


def errors() -> Console:
    """Return a console on stderr."""
    return Console(stderr=True)


def as_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def sentences(lines: Iterable[str]) -> None:
    """Write sentences to stdout, a line each and as they are: a path in one can be copied whole."""
    out = console()
    for line in lines:
        out.print(line, soft_wrap=True, markup=False, highlight=False)


def counted(count: int, noun: str) -> str:
    """Return `1 alert` or `2 alerts`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def plain(value: str | None, limit: int = 60) -> Text:
    """Return a stranger's words for a cell: one line, cleaned, no markup."""
    kept, cut = text.cap(text.one_line(value or ""), limit)
    return Text(f"{kept[:-3].rstrip()}..." if cut else kept)


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], *, title: str | None = None) -> Table:
    """Return a table whose last column takes what room is left."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        last = at == len(columns) - 1
        made.add_column(name, no_wrap=not last, overflow="fold", ratio=1 if last else None)
    for row in rows:
        made.add_row(*row)
    return made


def file_progress(path: Path, what: str, *, quiet: bool) -> AbstractContextManager[Any]:
    """Show how far into a file an import is; yields a function of the bytes read."""
    return byte_progress(path.stat().st_size if path.is_file() else None, what, quiet=quiet)


def byte_progress(total: int | None, what: str, *, quiet: bool) -> AbstractContextManager[Any]:
    """Show how many of `total` bytes are done; yields a function of the bytes."""
    return _progress(total, what, DownloadColumn(), quiet=quiet)


def count_progress(total: int | None, what: str, *, quiet: bool) -> AbstractContextManager[Any]:
    """Show how many of `total` are done; yields a function of the count."""
    return _progress(total, what, MofNCompleteColumn(), quiet=quiet)


@contextmanager
def _progress(total: int | None, what: str, figure: ProgressColumn, *, quiet: bool) -> Iterator[Any]:
    columns = (TextColumn("{task.description}"), BarColumn(), figure, TimeElapsedColumn())
    with Progress(*columns, console=errors(), disable=quiet or not errors().is_terminal, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done: progress.update(task, completed=done)
