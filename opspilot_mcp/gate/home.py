"""Where the gate keeps its things: one folder, 0700, beside the desk's database."""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from opspilot_mcp.errors import BadSetting
from opspilot_mcp.store.files import private_folder, write_private


@dataclass(frozen=True)
class Home:
    """Paths of one installation. `root` is OPSPILOT_HOME."""

    root: Path

    @property
    def desk_db(self) -> Path:
        return self.root / "desk.db"

    @property
    def gate(self) -> Path:
        return self.root / "gate"

    @property
    def gate_db(self) -> Path:
        return self.gate / "gate.db"

    @property
    def settings(self) -> Path:
        return self.gate / "gate.toml"

    @property
    def approvers(self) -> Path:
        return self.gate / "approvers"

    @property
    def root_pin(self) -> Path:
        return self.approvers / "root.json"

    @property
    def sent(self) -> Path:
        return self.gate / "sent"

    @property
    def checkpoints(self) -> Path:
        return self.gate / "checkpoints"

    @property
    def checkpoint_key(self) -> Path:
        return self.gate / "checkpoint.key"

    def make(self) -> "Home":
        """Make the folders that are missing. Raises BadSetting where others could get in."""
        for folder in (self.root, self.gate, self.approvers, self.sent, self.checkpoints):
            private_folder(folder)
        self.check()
        return self

    def check(self) -> None:
        """Refuse a gate folder that another user could write or read: its contents are the authority to send."""
        found = self.gate.stat()
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise BadSetting(f"{self.gate} is open to other users. Run: chmod -R go= {self.gate}")
        if found.st_uid != os.geteuid():
            raise BadSetting(f"{self.gate} belongs to another user. Run the gate as that user.")

    def is_set_up(self) -> bool:
        """Whether `gate init` has run here."""
        return self.root_pin.exists() and self.gate_db.exists()


def file_id(path: Path) -> tuple[int, int] | None:
    """Return what tells one file from another that came to stand under its name; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def write_json(path: Path, value: object) -> None:
    """Write a private JSON file as one durable change."""
    write_private(path, (json.dumps(value, sort_keys=True, indent=1) + "\n").encode())


def read_json(path: Path) -> dict[str, object]:
    """Return a JSON object of ours. Raises BadSetting when it is missing or damaged."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadSetting(f"{path} cannot be read ({type(error).__name__}). Restore the gate folder.") from error
    if not isinstance(found, dict):
        raise BadSetting(f"{path} does not hold what it should. Restore the gate folder.")
    return found
