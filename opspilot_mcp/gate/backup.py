"""The gate's half of a backup: everything that makes this gate this gate, and no power to send.

A copy of the gate knows less than the gate: which nonces were spent since, what was sent since. So the copy starts in
quarantine, with every signature in it void, before anybody restores it, by whatever means.
"""

import fcntl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from opspilot_mcp import clock
from opspilot_mcp.errors import StoreUnusable
from opspilot_mcp.gate import approvers, audit, state, upkeep
from opspilot_mcp.gate import policy as gate_policy
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.schema import GATE, metadata
from opspilot_mcp.store import copies, migrate, sqlite

TABLES = tuple(sorted(metadata.tables))
_KEPT = ("gate.toml", "checkpoint.key")
_FOLDERS = ("approvers", "sent", "checkpoints")
# What SQLite and the gate keep beside the database for as long as it is open.
_PASSING = tuple(f"gate.db{beside}" for beside in ("-journal", "-wal", "-shm", ".lock"))


def copy(root: Path, into: Path, *, now: int, progress: copies.Progress) -> list[str]:
    """Copy the gate of a home into another, and take from the copy its power to send; returns what was left out.

    The log of checkpoints and the sent files are copied before the database, which then knows them all. Channel
    secrets are not copied. Raises BadSetting or StoreUnusable where there is no gate, or a damaged one.
    """
    home, to = Home(root), Home(into)
    approvers.load_root(home)
    for place in (to.gate, to.approvers, to.sent, to.checkpoints):
        copies.folder(place)
    _copy_log(home.checkpoints / "log.jsonl", to.checkpoints / "log.jsonl")
    _copy_folder(home.sent, to.sent)
    copies.database(home.gate_db, to.gate_db, progress=progress)
    _copy_folder(home.approvers, to.approvers)
    kept = [*_KEPT, *_authorities(home)]
    for name in kept:
        if (home.gate / name).exists():
            copies.file(home.gate / name, to.gate / name)
    disarm(into, f"this is the backup of {clock.iso(now)}; what it calls waiting may have left since", now=now)
    return _left_out(home, kept)


def _copy_log(source: Path, to: Path) -> None:
    """Copy the checkpoints, whole lines only, while no process of the gate adds one."""
    if not source.exists():
        return
    with source.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        copies.file(source, to)
    with to.open("rb+") as copied:
        copied.truncate(copied.read().rfind(b"\n") + 1)


def _copy_folder(source: Path, to: Path) -> None:
    """Copy the files of a folder of ours; a name that starts with a dot is half written."""
    for path in sorted(source.iterdir()):
        if not path.name.startswith("."):
            copies.file(path, to / path.name)


def _authorities(home: Home) -> list[str]:
    """Return the certificate files gate.toml names beside itself: a restored gate needs them; they are no secret."""
    named = {getattr(channel, "ca_file", None) for channel in gate_policy.load(home.settings).channels.values()}
    return sorted(name for name in named if name and Path(name).name == name)


def _left_out(home: Home, kept: list[str]) -> list[str]:
    """Return what stays behind in gate/: channel secrets, and what nobody knows here."""
    ours = {"gate.db", *kept, *_FOLDERS, *_PASSING}
    names = [path.name for path in home.gate.iterdir() if not path.name.startswith(".")]
    return sorted(f"gate/{name}" for name in names if name not in ours)


def disarm(root: Path, why: str, *, now: int) -> None:
    """Put the copied gate of a home into quarantine, its signatures void; a gate in quarantine stays as it is.

    Raises StoreUnusable when the copy's database and root do not belong together.
    """
    with _change(root, now=now) as conn:
        standing = state.read(conn)
        if standing.instance != approvers.load_root(Home(root)).instance:
            raise StoreUnusable("gate.db and approvers/root.json are of two gates. Take another backup.")
        if standing.quarantine is None:
            upkeep.quarantine(conn, why, now=now)


def note_restored(root: Path, by: str, *, made_ms: int, now: int) -> None:
    """Write into the restored gate's record that it was restored, and from when it is."""
    with _change(root, now=now) as conn:
        audit.record(conn, by, "gate.restored", "gate", now=now, detail={"made": clock.iso(made_ms)})


@contextmanager
def _change(root: Path, *, now: int) -> Iterator[Connection]:
    """Lend one transaction on a copied gate nobody else uses; it is checkpointed, and one file again, afterwards."""
    home = Home(root).make()  # a backup lists files: an empty folder is not in one
    with closing(sqlite.connect(home.gate_db)) as raw:
        engine = sqlite.engine_over(raw, begin="BEGIN IMMEDIATE")
        with engine.begin() as conn:
            migrate.require(conn, GATE)
            yield conn
        with engine.begin() as conn:
            _checkpoint(conn, audit.Checkpoints(home), now=now)
    copies.close(home.gate_db)


def _checkpoint(conn: Connection, checkpoints: audit.Checkpoints, *, now: int) -> None:
    before, last = -1, checkpoints.last()[0]
    while last != before:  # a record with a gap adds nothing, and must not go on for ever
        checkpoints.extend(audit.rows_after(conn, last), now=now)
        before, last = last, checkpoints.last()[0]
