"""`backup`: a copy of the whole home into a new folder, made while others work, checked before it is called a backup.

The folder is built under a hidden name and gets its own only when everything in it was checked, so that what failed
half-way never looks like a backup. The gate is copied first: what it notes of the desk is then older than the desk.
"""

import os
import stat
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from opspilot_mcp import __version__, clock, settings
from opspilot_mcp.commands import manifest, printing
from opspilot_mcp.commands.manifest import Database, Manifest
from opspilot_mcp.commands.options import Home, Json
from opspilot_mcp.errors import BadSetting, InvalidInput, StoreUnusable
from opspilot_mcp.settings import Settings
from opspilot_mcp.store import copies, trail
from opspilot_mcp.store.chain import Walk
from opspilot_mcp.store.files import sync_folder, write_private
from opspilot_mcp.store.migrate import Lineage
from opspilot_mcp.store.schema import DESK, metadata
from opspilot_mcp.store.trail import Verdict

TABLES = tuple(sorted(metadata.tables))
_SECRETS = (
    "every ticket, address and message; the approvers' keys, sealed under their passphrases; and the key that signs "
    "checkpoints, unsealed"
)


def backup(
    folder: Path,
    /,
    *,
    desk_only: Annotated[bool, Parameter(negative="", help="Leave the gate out on purpose.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Copy desk, gate and your own files into FOLDER, a new one, while everything runs; then check the copy."""
    found, target = settings.load(home=home), folder.expanduser().absolute()
    next_step = f"Nothing is left of it. Check the owner and the free space of {target.parent}."
    with copies.explained("The backup was given up", next_step):
        _check_target(target, found)
        gate_words = "left out, as asked" if desk_only else _why_no_gate(found)
        with copies.unfinished(target) as scratch:
            made = _fill(found, scratch, with_gate=not gate_words, quiet=as_json)
            write_private(scratch / manifest.NAME, made.model_dump_json(by_alias=True, indent=1).encode() + b"\n")
            _give_name(scratch, target)
    _tell(target, made, gate_words, as_json=as_json)
    return int(not desk_only and found.gate_home.exists() and made.gate is None)


def _check_target(target: Path, found: Settings) -> None:
    """Raise InvalidInput for a folder that could overwrite something, or be moved away with the home."""
    if not found.desk_db.is_file():
        raise BadSetting(f"There is no desk.db in {found.home}. Name the right folder with --home.")
    if os.path.lexists(target):
        raise InvalidInput(f"{target} exists already, and a backup overwrites nothing. Name a new folder.")
    if not target.parent.is_dir():
        raise InvalidInput(f"{target.parent} is not a folder. Make it first, where agents cannot write.")
    if target.parent.resolve().is_relative_to(found.home.resolve()):
        raise InvalidInput(f"{target} lies inside the home it would copy. Name a folder elsewhere.")


def _why_no_gate(found: Settings) -> str:
    """Return why the gate cannot be copied, "" when it can."""
    if not found.gate_home.exists():
        return "there is none in this home"
    if not os.access(found.gate_home, os.R_OK | os.X_OK):
        return "it belongs to another user: only the user the gate runs as can copy it"
    if not (found.gate_home / "approvers" / "root.json").exists():
        return "it is not set up"
    return ""


def _give_name(scratch: Path, target: Path) -> None:
    target.mkdir(mode=0o700)  # refuses what somebody made meanwhile; a rename onto an empty folder is atomic
    try:
        scratch.rename(target)
    except OSError:
        target.rmdir()
        raise
    sync_folder(target.parent)


def _fill(found: Settings, scratch: Path, *, with_gate: bool, quiet: bool) -> Manifest:
    """Copy everything into the hidden folder, check it, and return the manifest to write."""
    now = clock.now_ms()
    left_out = _copy_databases(found, scratch, with_gate=with_gate, quiet=quiet, now=now)
    for name in ("policy.toml", "runbooks", "macros"):
        left_out += _copy_own(found.home, scratch, name)
    instance, gate, held = checked_gate(scratch) if with_gate else (None, None, {})
    return Manifest(
        format="opspilot-mcp backup 1",
        program=__version__,
        made_ms=now,
        instance=instance,
        desk=checked_desk(scratch, held),
        gate=gate,
        left_out=tuple(left_out),
        files=manifest.entries(scratch),
    )


def _copy_databases(found: Settings, scratch: Path, *, with_gate: bool, quiet: bool, now: int) -> list[str]:
    """Copy the gate, then the desk; then the copied gate loses its power. Returns what of the gate was left out."""
    if not with_gate:
        with printing.byte_progress(found.desk_db.stat().st_size, "backup", quiet=quiet) as progress:
            copies.database(found.desk_db, scratch / "desk.db", progress=progress)
        return []
    from opspilot_mcp.gate import backup as room

    first = (found.gate_home / "gate.db").stat().st_size
    with printing.byte_progress(first + found.desk_db.stat().st_size, "backup", quiet=quiet) as progress:
        left_out = room.copy(found.home, scratch, progress=progress)
        copies.database(found.desk_db, scratch / "desk.db", progress=lambda done: progress(first + done))
    why = f"this is the backup of {clock.iso(now)}; what it calls waiting may have left since"
    if not room.disarm(scratch, why, now=now):
        left_out.append("what the desk proposed and the gate had not taken yet")
    return left_out


def _copy_own(home: Path, to: Path, name: str) -> list[str]:
    """Copy a file of the operator's own, or the files of a folder; returns the paths of what is no plain file.

    A link is not followed: in a shared home it may lead where only the gate's user can read.
    """
    source = home / name
    if source.is_dir() and not source.is_symlink():
        copies.folder(to / name)
        inside = [f"{name}/{path.name}" for path in sorted(source.iterdir())]
    else:
        inside = [name] if os.path.lexists(source) else []
    plain = [path for path in inside if manifest.may_hold(path) and stat.S_ISREG(os.lstat(home / path).st_mode)]
    for path in plain:
        copies.file(home / path, to / path)
    return [path for path in inside if path not in plain]


def checked_desk(home: Path, held: dict[int, str]) -> Database:
    """Return what a copied desk holds. Raises StoreUnusable when it is damaged or its record is bad."""
    rows = copies.sound(home / "desk.db", DESK, TABLES)
    verdict = trail.verify(home / "desk.db", Walk(held, held_word="noted by the gate"), DESK)
    return _database(home / "desk.db", DESK, rows, verdict)


def checked_gate(home: Path) -> tuple[str, Database, dict[int, str]]:
    """Return a copied gate's instance, what it holds, and what it noted of the desk. Raises like `checked_desk`."""
    from opspilot_mcp.gate import anchors, approvers
    from opspilot_mcp.gate import backup as room
    from opspilot_mcp.gate.home import Home
    from opspilot_mcp.gate.schema import GATE

    place = Home(home)
    rows = copies.sound(place.gate_db, GATE, room.TABLES)
    verdict, notes = anchors.check(home)
    database = _database(place.gate_db, GATE, rows, verdict)
    return approvers.load_root(place).instance, database, notes.held


def _database(path: Path, lineage: Lineage, rows: dict[str, int], verdict: Verdict) -> Database:
    if verdict.first_bad is not None:
        raise StoreUnusable(
            f"The {lineage.name}'s record is bad at row {verdict.first_bad}: {verdict.why}. No backup is made of it. "
            "Run `opspilot-mcp audit verify`, and keep the home as it is for whoever looks into it."
        )
    copies.close(path)
    return Database(schema=lineage.head, rows=rows, audit_seq=verdict.head[0], audit_hash=verdict.head[1])


def _tell(target: Path, made: Manifest, gate_words: str, *, as_json: bool) -> None:
    digest = copies.sha256(target / manifest.NAME)
    if as_json:
        told = made.model_dump(mode="json", by_alias=True, exclude={"files"})
        files = {"files": len(made.files), "bytes": sum(entry.bytes for entry in made.files)}
        printing.as_json(
            {"folder": str(target), "manifest_sha256": digest, "no_gate": gate_words or None, **told, **files}
        )
        return
    size = f"{printing.counted(len(made.files), 'file')}, {sum(entry.bytes for entry in made.files) / 1_000_000:.1f} MB"
    counts = ", ".join(f"{made.desk.rows[name]} {name}" for name in ("tickets", "alerts", "incidents"))
    gate = f"{made.gate.rows['messages']} messages, gate {made.instance}" if made.gate else f"NO GATE: {gate_words}"
    lines = [
        f"Backed up to {target}: {size}. Both copies were checked."
        if made.gate
        else f"Backed up the desk to {target}: {size}. The copy was checked.",
        f"In it: {counts}; {gate}.",
        f"Left out: {', '.join(made.left_out)}. Keep channel secrets elsewhere." if made.left_out else "",
        f"It holds {_SECRETS if made.gate else 'every ticket, address and message'}. Keep it where agents cannot read.",
        f"Restore it with: opspilot-mcp restore {target}",
    ]
    printing.sentences(line for line in lines if line)
