"""The channel that needs nothing: each message is a file in the gate's `sent` folder, mode 0600."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from opspilot_mcp.gate.channels import Envelope, SendFailed, Wire
from opspilot_mcp.gate.policy import FileChannel
from opspilot_mcp.store.files import sync_folder

# Disk full, quota, too many files: the same file may fit later.
_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EIO, errno.EAGAIN}


def send(envelope: Envelope, _settings: FileChannel, wire: Wire) -> str:
    """Put the bytes under the message's own name, once: a second send of the same bytes changes nothing."""
    ending = "eml" if envelope.kind == "reply" else "json"
    target = wire.sent / f"{envelope.message_id}.v{envelope.version}.{ending}"
    scratch = wire.sent / f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
        _write(scratch, envelope.content)
        try:
            # A link never replaces: unlike a rename, the first writer of a name wins.
            os.link(scratch, target)
            sync_folder(wire.sent)
        except FileExistsError:
            _check_same(target, envelope.content)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        passing = error.errno in _PASSING
        raise SendFailed(f"the sent folder refused the file ({error.strerror})", permanent=not passing) from error
    return f"written to gate/sent/{target.name}"


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _check_same(target: Path, content: bytes) -> None:
    """Raise SendFailed unless the file there is ours. A pipe or a link in its place is not read."""
    with suppress(OSError), os.fdopen(os.open(target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode) and file.read(len(content) + 1) == content:
            return
    raise SendFailed(f"gate/sent/{target.name} exists with other bytes; look at it", permanent=True)
