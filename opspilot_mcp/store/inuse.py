"""Who uses a database file: a lock beside it that every process holds while it has the file open.

SQLite's own locks are held only inside a transaction, and name the file by its path. A file that is moved away under
an idle process would take that process's next write, with a journal beside the new file of that name. So `restore`
moves a home only when it alone holds the locks.
"""

import errno
import fcntl
import os
from pathlib import Path

from opspilot_mcp.errors import BadSetting, Conflict, StoreBusy
from opspilot_mcp.store.files import private_file


def hold(database: Path) -> int | None:
    """Return a handle that says this process uses the file; None where no lock can be written. `let_go` ends it.

    Raises StoreBusy while the home is being replaced.
    """
    try:
        handle = os.open(private_file(_lock(database)), os.O_RDONLY)
    except (OSError, BadSetting):
        return None  # opening the database itself says what is wrong
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise StoreBusy("A backup is being restored here. Try again in a few seconds.") from None
        return None  # a file system without locks
    return handle


def claim(database: Path) -> int | None:
    """Return a handle that keeps every other process out; None where the file was never used. `let_go` ends it.

    Raises Conflict while another process uses the file.
    """
    try:
        handle = os.open(_lock(database), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise Conflict(
            f"{database.name} is in use. Stop the gate and every MCP client that started opspilot-mcp, and try again."
        ) from None
    return handle


def let_go(handle: int | None) -> None:
    """End a hold or a claim."""
    if handle is not None:
        os.close(handle)


def _lock(database: Path) -> Path:
    return database.with_name(f"{database.name}.lock")
