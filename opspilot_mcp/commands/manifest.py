"""What a backup says of itself: `manifest.json`, written last, so that a folder without one is no backup.

It finds damage and mistakes. Whoever can write the folder can write the manifest too.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from opspilot_mcp.errors import InvalidInput, first_fault, quoted
from opspilot_mcp.store import copies

NAME = "manifest.json"
PLACES = ("desk.db", "policy.toml", "runbooks", "macros", "gate")
_MOST_BYTES = 64_000_000
_DIGEST = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_COUNT = Annotated[int, Field(ge=0)]
# A path inside the folder: no empty, "." or ".." part, nothing absolute, no backslash.
_PATH = re.compile(r"(?!\.{1,2}(/|$))[^/\\]+(/(?!\.{1,2}(/|$))[^/\\]+)*")


def may_hold(path: str) -> bool:
    """Whether a path may stand in a manifest: inside the folder, and of a kind a home has."""
    return path.isprintable() and bool(_PATH.fullmatch(path)) and path.split("/")[0] in PLACES


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Part):
    """One file, by its path inside the backup."""

    path: str = Field(max_length=1_000)
    bytes: _COUNT
    sha256: _DIGEST

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, value: str) -> str:
        if not may_hold(value):
            raise ValueError("names a path no backup holds")
        return value


class Database(_Part):
    """One database: its schema, rows a table, and the newest row of its record."""

    schema_: str = Field(alias="schema", pattern=r"^[0-9a-z]{1,40}$")
    rows: dict[str, _COUNT]
    audit_seq: _COUNT
    audit_hash: _DIGEST


class Manifest(_Part):
    """Everything a restore compares."""

    format: Literal["opspilot-mcp backup 1"]
    program: str = Field(max_length=40)
    made_ms: int
    instance: str | None = Field(pattern=r"^[0-9a-f]{32}$")  # the gate's; None in a backup of the desk alone
    desk: Database
    gate: Database | None
    left_out: tuple[str, ...]
    files: tuple[FileEntry, ...]


def files_of(folder: Path) -> list[str]:
    """Return the paths of all files below a backup, the manifest left out. Raises InvalidInput for a link or device."""
    found: list[str] = []
    for here, folders, files in os.walk(folder, onerror=_unreadable):
        for name in (*folders, *files):
            path = Path(here, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise InvalidInput(f"{path} is a link or a device, which no backup holds. Do not restore this folder.")
        found += [Path(here, name).relative_to(folder).as_posix() for name in files]
    return sorted(path for path in found if path != NAME)


def _unreadable(error: OSError) -> None:
    raise InvalidInput(f"{error.filename} cannot be read ({error.strerror}). Run this as the owner of the backup.")


def entries(folder: Path) -> tuple[FileEntry, ...]:
    """Return an entry for every file of a folder that becomes a backup."""
    return tuple(
        FileEntry(path=path, bytes=folder.joinpath(path).stat().st_size, sha256=copies.sha256(folder / path))
        for path in files_of(folder)
    )


def read(folder: Path) -> Manifest:
    """Return a backup's manifest, once the folder holds exactly its files. Raises InvalidInput."""
    path = folder / NAME
    if path.is_symlink() or not path.is_file():
        raise InvalidInput(f"{folder} is not a backup: it holds no {NAME}. Name a folder `opspilot-mcp backup` made.")
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidInput(f"{path} is too big to be a manifest. Take another backup.")
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidInput(f"{path} {_why(error)} Take another backup.") from None
    _same_files(folder, [entry.path for entry in manifest.files])
    return manifest


def _why(error: ValidationError) -> str:
    place, says = first_fault(error)
    if place == ("format",):
        return "is not of a format this program knows: install the newest opspilot-mcp."
    where = ".".join(map(str, place)) or "the file"
    return f"is not a manifest of ours ({quoted(where)}: {says})."


def _same_files(folder: Path, listed: list[str]) -> None:
    found = files_of(folder)
    if twice := {path for path in listed if listed.count(path) > 1} if len(set(listed)) < len(listed) else set():
        raise InvalidInput(f"The manifest names {quoted(min(twice))} twice. Take another backup.")
    if missing := sorted(set(listed) - set(found)):
        raise InvalidInput(f"The backup lacks {quoted(missing[0])}. Take another backup.")
    if extra := sorted(set(found) - set(listed)):
        raise InvalidInput(f"The backup holds {quoted(extra[0])}, which is not in its manifest. Move that file away.")
