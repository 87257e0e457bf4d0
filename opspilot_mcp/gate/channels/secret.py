"""A channel's secret, read at the moment of sending, in the dispatcher only."""

import os
import stat
from pathlib import Path

from opspilot_mcp.gate.channels import SendFailed

_MAX_BYTES = 10_000


def read(env: str | None, file: str | None, gate: Path) -> str:
    """Return the secret from the named variable, or from a 0600 file (relative to the gate's folder).

    Raises SendFailed, not permanent: an operator can put it right while the approval lasts.
    """
    if env:
        found = os.environ.get(env, "").strip()
        if not found:
            raise SendFailed(f"the variable {env} is not set for the dispatcher")
        return found
    return _from_file(gate / (file or ""))


def _from_file(path: Path) -> str:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would never open
    except OSError as error:
        raise SendFailed(f"the secret file {path.name} cannot be read ({error.strerror})") from error
    with os.fdopen(handle, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
            raise SendFailed(f"the secret file {path.name} is open to others; run chmod 600")
        try:
            return opened.read(_MAX_BYTES).decode("utf-8").strip()
        except UnicodeDecodeError:
            raise SendFailed(f"the secret file {path.name} is not UTF-8 text") from None
