"""`restore`: a backup becomes the home again, once everything in it was checked; what was there is kept aside.

The new home is put together under a hidden name beside the old one, so that a restore that stops half-way has changed
nothing. A restored gate is in quarantine until a person has looked.
"""

from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from opspilot_mcp import clock, settings
from opspilot_mcp.app import operator_principal
from opspilot_mcp.commands import backup as copying
from opspilot_mcp.commands import manifest, printing
from opspilot_mcp.commands.manifest import Database, Manifest
from opspilot_mcp.commands.options import Home, Json
from opspilot_mcp.errors import Conflict, InvalidInput, StoreUnusable, quoted
from opspilot_mcp.settings import Settings
from opspilot_mcp.store import audit, copies, inuse, sqlite
from opspilot_mcp.store.files import is_shared, sync_folder
from opspilot_mcp.store.migrate import Lineage
from opspilot_mcp.store.schema import DESK


def restore(
    folder: Path,
    /,
    *,
    replace: Annotated[bool, Parameter(negative="", help="Move the home that is there aside first.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Make the backup in FOLDER the home again, after checking all of it. The gate then waits in quarantine."""
    found, source = settings.load(home=home), folder.expanduser().absolute()
    next_step = f"{found.home} is as it was. Check the owner and the free space of {found.home.parent}."
    with copies.explained("The restore was given up", next_step):
        held = manifest.read(source)
        _check_home(found, held, replace=replace)
        was_shared = found.home.is_dir() and is_shared(found.home)
        with ExitStack() as kept_out, copies.unfinished(found.home) as scratch:
            for database in (found.desk_db, found.gate_home / "gate.db"):
                kept_out.callback(inuse.let_go, inuse.claim(database))
            _copy(source, scratch, held, quiet=as_json)
            _check(scratch, held)
            _note(scratch, held)
            aside = _swap(scratch, found.home)
    _tell(found, held, aside, was_shared=was_shared, as_json=as_json)
    return 0


def _check_home(found: Settings, held: Manifest, *, replace: bool) -> None:
    """Raise where the backup may not become this home."""
    _check_schema(held.desk, DESK, held.program)
    if held.gate is not None:
        from opspilot_mcp.gate.schema import GATE

        _check_schema(held.gate, GATE, held.program)
    if not found.home.is_dir() or not any(found.home.iterdir()):
        return
    if not replace:
        raise Conflict(
            f"{found.home} is not empty. Add --replace to move it aside first, or name an empty folder with --home."
        )
    if held.gate is None and found.gate_home.exists():
        raise Conflict(
            f"This backup holds the desk alone, and the gate in {found.home} knows newer messages than it. Restore a "
            "backup that holds both, or restore this one into an empty folder with --home."
        )


def _check_schema(database: Database, lineage: Lineage, program: str) -> None:
    """Raise StoreUnusable for a database of another schema than this program's."""
    if database.schema_ == lineage.head:
        return
    words = f"The {lineage.name} in this backup has schema {database.schema_}"
    if database.schema_ > lineage.head:
        raise StoreUnusable(f"{words}, newer than this program's {lineage.head}. Install the newest opspilot-mcp.")
    raise StoreUnusable(f"{words}. Restore it with opspilot-mcp {quoted(program)}; the newest one then brings it up.")


def _copy(source: Path, scratch: Path, held: Manifest, *, quiet: bool) -> None:
    """Copy every file of the backup. Raises InvalidInput for one whose bytes are not what the manifest says."""
    done = 0
    with printing.byte_progress(sum(entry.bytes for entry in held.files), "restore", quiet=quiet) as progress:
        for entry in held.files:
            copies.folder((scratch / entry.path).parent)
            if copies.file(source / entry.path, scratch / entry.path) != entry.sha256:
                raise InvalidInput(f"{quoted(entry.path)} was changed since the backup was made. Take another backup.")
            done += entry.bytes
            progress(done)


def _check(scratch: Path, held: Manifest) -> None:
    """Raise where the copied home is damaged, its records are bad, or it is not what the manifest says."""
    noted: dict[int, str] = {}
    if held.gate is not None:
        instance, gate, noted = copying.checked_gate(scratch)
        _same("gate", gate, held.gate)
        if instance != held.instance:
            raise InvalidInput("The gate in this backup is not the one its manifest names. Take another backup.")
    _same("desk", copying.checked_desk(scratch, noted), held.desk)


def _same(name: str, found: Database, listed: Database) -> None:
    if found != listed:
        raise InvalidInput(f"The {name} in this backup is not what its manifest counts. Take another backup.")


def _note(scratch: Path, held: Manifest) -> None:
    """Write the restore into both records, and make sure of the quarantine."""
    by, now = operator_principal(), clock.now_ms()
    desk = scratch / "desk.db"
    with closing(sqlite.connect(desk)) as raw, sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").begin() as conn:
        audit.record(conn, by, "desk.restored", "desk", now=now, detail={"made": clock.iso(held.made_ms)})
    copies.close(desk)
    if held.gate is None:
        return
    from opspilot_mcp.gate import backup as room

    room.disarm(scratch, f"restored from the backup of {clock.iso(held.made_ms)}", now=now)
    room.note_restored(scratch, by, made_ms=held.made_ms, now=now)


def _swap(scratch: Path, home: Path) -> Path | None:
    """Give the new home its name; returns where the old one is now, None when there was none."""
    aside = None
    if home.is_dir() and any(home.iterdir()):
        stamp = datetime.fromtimestamp(clock.now_ms() / 1000, tz=UTC).strftime("%Y%m%dT%H%M%SZ")
        aside = home.rename(home.with_name(f"{home.name}.replaced-{stamp}"))
    try:
        scratch.rename(home)
    except OSError:
        if aside is not None:
            aside.rename(home)
        raise
    sync_folder(home.parent)
    return aside


def _tell(found: Settings, held: Manifest, aside: Path | None, *, was_shared: bool, as_json: bool) -> None:
    made = clock.iso(held.made_ms)
    if as_json:
        told = {
            "home": str(found.home),
            "made": made,
            "instance": held.instance,
            "kept_aside": str(aside) if aside else None,
        }
        printing.as_json({**told, "quarantine": held.gate is not None, "left_out": list(held.left_out)})
        return
    lines = [f"{found.home} is the home as it was at {made}; every file was checked."]
    if aside:
        lines.append(f"The home that was there is kept in {aside}. Remove it when you need nothing of it.")
    if held.left_out:
        lines.append(f"Not in the backup: {', '.join(held.left_out)}. Put them back by hand, mode 0600.")
    if was_shared:
        lines.append("The old home was shared with a group (L1). Set owners, group and modes again: docs/security.md.")
    if held.gate is None:
        lines.append("There is no gate in it. Make a new one with: opspilot-mcp gate init")
    else:
        lines.append(
            "The gate is in QUARANTINE: nothing leaves, old signatures are void, as messages may have left since."
        )
        lines.append("Look at what is uncertain or held (opspilot-mcp gate run), then: opspilot-mcp gate release")
    printing.sentences(lines)
