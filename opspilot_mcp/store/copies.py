"""Copies of a live home's files: a database as it stands at one instant, a file byte for byte, all of them private."""

import hashlib
import os
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from opspilot_mcp.errors import InvalidInput, StoreUnusable
from opspilot_mcp.store import sqlite
from opspilot_mcp.store.files import private_file, sync_folder
from opspilot_mcp.store.migrate import Lineage

Progress = Callable[[int], None]

_PAGES = 2_000
_CHUNK = 1 << 20


@contextmanager
def explained(what: str, next_step: str) -> Iterator[None]:
    """Turn an operating system's refusal inside the block into StoreUnusable, in our words."""
    try:
        yield
    except OSError as error:
        raise StoreUnusable(f"{what} ({error.strerror}). {next_step}") from error


def folder(path: Path) -> Path:
    """Make a folder and those of its parents that are missing, each 0700 whatever the umask is. Returns it."""
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(mode=0o700)
    return path


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """Lend a hidden folder beside `target`, 0700, to be renamed to it once it is whole; else it goes with the block."""
    made = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".unfinished", dir=folder(target.parent)))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def database(source: Path, to: Path, *, progress: Progress) -> None:
    """Copy a database others may be writing, as it stands at one instant; nothing in the file is run.

    Pages are copied under one read transaction: in a rollback journal writers wait for its end, as they do for each
    other. `progress` is given the bytes copied so far. Raises StoreUnusable for a damaged or missing file.
    """
    if not source.is_file():
        raise StoreUnusable(f"There is no {source.name} to copy. Check OPSPILOT_HOME.")
    try:
        with closing(sqlite.connect(source, readonly=True)) as raw, closing(_scratch(to)) as copy:
            raw.execute("BEGIN")
            page = raw.execute("PRAGMA page_size").fetchone()[0]
            raw.execute("SELECT count(*) FROM sqlite_master").fetchone()  # the snapshot starts with the first read
            raw.backup(copy, pages=_PAGES, progress=lambda _, left, total: progress((total - left) * page), sleep=0)
            copy.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        raise sqlite.meaning(error, source) from error
    _make_durable(to)


def _scratch(to: Path) -> sqlite3.Connection:
    raw = sqlite3.connect(private_file(to), isolation_level=None)
    # Nobody needs a half-made copy back, so it needs no journal; it is synced once it is whole.
    raw.execute("PRAGMA journal_mode = OFF")
    raw.execute("PRAGMA synchronous = OFF")
    return raw


def _make_durable(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
    sync_folder(path.parent)


def close(path: Path) -> None:
    """Leave a copied database as one file: what an opened SQLite file keeps beside it goes. Nobody may have it open."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA journal_mode = DELETE")
    for beside in ("-journal", "-wal", "-shm", ".lock"):
        path.with_name(path.name + beside).unlink(missing_ok=True)
    _make_durable(path)


def file(source: Path, to: Path) -> str:
    """Copy one regular file, 0600, and return the SHA-256 of what was copied. Raises InvalidInput for a link."""
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidInput(f"{source} cannot be copied ({error.strerror}). Put a file of your own there.") from error
    digest = hashlib.sha256()
    with os.fdopen(handle, "rb") as read, os.fdopen(_new(to), "wb") as write:
        if not stat.S_ISREG(os.fstat(read.fileno()).st_mode):
            raise InvalidInput(f"{source} is not a plain file. Move it away.")
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            write.write(chunk)
        write.flush()
        os.fsync(write.fileno())
    return digest.hexdigest()


def _new(to: Path) -> int:
    handle = os.open(to, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    os.fchmod(handle, 0o600)
    return handle


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as read:
        return hashlib.file_digest(read, "sha256").hexdigest()


def sound(path: Path, lineage: Lineage, tables: tuple[str, ...]) -> dict[str, int]:
    """Return how many rows each of `tables` has in a copy, after SQLite's own check of the whole file.

    Raises StoreUnusable for a damaged copy, or one whose schema is not this program's.
    """
    try:
        with closing(sqlite.connect(path, readonly=True)) as raw:
            raw.execute("PRAGMA cell_size_check = ON")
            if (revision := sqlite.revision(raw)) != lineage.head:
                raise StoreUnusable(f"{path.name} has schema {revision}, not {lineage.head}. Start opspilot-mcp once.")
            if (found := raw.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise StoreUnusable(f"The copy of {path.name} is damaged ({found!s:.80}). Run `opspilot-mcp doctor`.")
            return {name: _count(raw, name) for name in tables}
    except sqlite3.Error as error:
        raise sqlite.meaning(error, path) from error


def _count(raw: sqlite3.Connection, table: str) -> int:
    count: int = raw.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608 - a name of ours
    return count
