"""The gate's half of a backup: everything that makes this gate this gate, and no power to send.

A copy of the gate knows less than the gate: which nonces were spent since, what was sent since. So the copy starts in
quarantine, with every signature in it void, before anybody restores it, by whatever means.
"""

import fcntl
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, func, select, update
from sqlalchemy.exc import DBAPIError

from opspilot_mcp import clock
from opspilot_mcp.errors import OpsPilotError, StoreUnusable
from opspilot_mcp.gate import approvers, audit, deskside, state, taking, upkeep
from opspilot_mcp.gate import policy as gate_policy
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.schema import GATE, messages, metadata
from opspilot_mcp.store import copies, migrate, sqlite
from opspilot_mcp.store.schema import proposals

TABLES = tuple(sorted(metadata.tables))
_NOT_OVER = ("pending", "held", "approved", "sending", "retry", "uncertain", "expired")
_KEPT = ("gate.toml", "checkpoint.key")
_FOLDERS = ("approvers", "sent", "checkpoints")
# What SQLite and the gate keep beside the database for as long as it is open.
_PASSING = tuple(f"gate.db{beside}" for beside in ("-journal", "-wal", "-shm", ".lock"))


def copy(root: Path, into: Path, *, progress: copies.Progress) -> list[str]:
    """Copy the gate of a home into another; returns what was left out. `disarm` must follow once the desk is there.

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
            copies.file((home.gate / name).resolve(), to.gate / name)  # a link here is the operator's own
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


def disarm(root: Path, why: str, *, now: int) -> bool:
    """Take from a copied home, desk and gate, its power to send: quarantine, signatures void, everything open held.

    What the desk proposed and the gate had not taken yet is taken, so that it is held as well: it may have been signed
    and sent after the copy was made. Returns False when the desk could not be followed there, as a stranger may have
    written it. Raises StoreUnusable when gate.db and the root do not belong together.
    """
    home = Home(root)
    with _change(home, now=now) as conn:
        if state.read(conn).instance != approvers.load_root(home).instance:
            raise StoreUnusable("gate.db and approvers/root.json are of two gates. Take another backup.")
        is_followed = True
        try:
            _take_rest(conn, home, now=now)
        except (DBAPIError, OpsPilotError):
            is_followed = False
        upkeep.quarantine(conn, why, now=now)
    return is_followed


def _take_rest(conn: Connection, home: Home, *, now: int) -> None:
    """Snapshot what the copied desk proposed and the copied gate does not know, and tell that desk."""
    policy = gate_policy.load(home.settings)
    with closing(deskside.connect(home.desk_db)) as raw:
        reading, writing = deskside.sit(raw)
        _forget(conn, writing)
        while looks := _unseen(raw, reading):
            for number in taking.take(conn, looks, policy, now=now):
                with writing.begin():
                    upkeep.tell_unreadable(writing, number, now=now)
            while told := upkeep.unmirrored(conn):
                with writing.begin():
                    upkeep.tell(writing, told, now=now)
                upkeep.set_mirrored(conn, told)
    copies.close(home.desk_db)


def _unseen(raw: sqlite3.Connection, reading: Connection) -> list[tuple[int, deskside.Look]]:
    sqlite.bound_reads(raw)
    with reading.begin():
        return deskside.unseen(reading)


def _forget(conn: Connection, writing: Connection) -> None:
    """Take back what the desk was told of messages younger than the copied gate, so that it takes them again."""
    newest = conn.execute(select(func.max(messages.c.proposal))).scalar() or 0
    lost = update(proposals).where(proposals.c.id > newest, proposals.c.outcome.in_(_NOT_OVER)).values(outcome=None)
    with writing.begin():
        writing.execute(lost)


def note_restored(root: Path, by: str, *, made_ms: int, now: int) -> None:
    """Write into the restored gate's record that it was restored, and from when it is."""
    with _change(Home(root), now=now) as conn:
        audit.record(conn, by, "gate.restored", "gate", now=now, detail={"made": clock.iso(made_ms)})


@contextmanager
def _change(home: Home, *, now: int) -> Iterator[Connection]:
    """Lend one transaction on a copied gate nobody else uses; it is checkpointed, and one file again, afterwards."""
    home.make()  # a backup lists files: an empty folder is not in one
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
