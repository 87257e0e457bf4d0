"""Files and folders only their owner (or, in a shared home, its group) can read."""

import os
import stat
from pathlib import Path

from opspilot_mcp.errors import BadSetting, InvalidInput


def is_shared(folder: Path) -> bool:
    """Whether an operator set the folder up for a group (set-group-ID and group-writable: isolation level L1)."""
    mode = folder.stat().st_mode
    return bool(mode & stat.S_ISGID and mode & stat.S_IWGRP)


def private_folder(folder: Path) -> Path:
    """Make `folder` and its parents if missing, 0700; an existing folder keeps its mode. Returns it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSetting(f"Cannot make the folder {folder}: {error.strerror}. Set OPSPILOT_HOME elsewhere.") from error
    return folder


def private_file(path: Path) -> Path:
    """Make an empty file if missing, 0600 (0660 in a shared folder) whatever the umask is. Returns it."""
    mode = 0o660 if is_shared(path.parent) else 0o600
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
    except FileExistsError:
        return path
    except OSError as error:
        raise BadSetting(f"Cannot write {path}: {error.strerror}. Check the folder's owner and free space.") from error
    try:
        os.fchmod(handle, mode)
    finally:
        os.close(handle)
    return path


def write_private(path: Path, content: bytes) -> Path:
    """Write `content` as one durable, atomic change of a private file. Returns the path."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(scratch, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return path


def check_target(path: Path) -> None:
    """Raise InvalidInput where no file can be written at `path`: asked before long work, so that none is lost."""
    if path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        raise InvalidInput(f"{path} cannot be written. Name a file in a folder that exists and that you may write to.")


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable. Without it a power cut can bring the old name back."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
