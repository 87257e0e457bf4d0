"""A home in use is not replaced, and a home being replaced is not used."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from opspilot_mcp.errors import Conflict, StoreBusy
from opspilot_mcp.store import inuse
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK


async def test_an_open_database_cannot_be_claimed(db: Db) -> None:
    with pytest.raises(Conflict, match="Stop the gate and every MCP client"):
        inuse.claim(db.path)


async def test_a_closed_database_can_be_claimed_once(tmp_path: Path) -> None:
    async with open_db(tmp_path / "desk.db", DESK):
        pass

    mine = inuse.claim(tmp_path / "desk.db")

    with pytest.raises(Conflict):
        inuse.claim(tmp_path / "desk.db")
    inuse.let_go(mine)


async def test_a_claimed_database_is_not_opened(tmp_path: Path) -> None:
    async with open_db(tmp_path / "desk.db", DESK):
        pass
    mine = inuse.claim(tmp_path / "desk.db")

    with pytest.raises(StoreBusy, match="being restored"):
        await Db(tmp_path / "desk.db", DESK).open()

    inuse.let_go(mine)
    async with open_db(tmp_path / "desk.db", DESK) as again:
        assert again.path.exists()


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from opspilot_mcp.store import inuse\n"
        "inuse.hold(Path(sys.argv[1])); print('held', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "desk.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(Conflict):
            inuse.claim(tmp_path / "desk.db")
        other.kill()

    assert inuse.claim(tmp_path / "desk.db") is not None


def test_a_database_nobody_ever_used_needs_no_claim(tmp_path: Path) -> None:
    assert inuse.claim(tmp_path / "desk.db") is None


def test_the_lock_of_a_folder_that_cannot_be_written_is_left_out(tmp_path: Path) -> None:
    assert inuse.hold(tmp_path / "gone" / "desk.db") is None


def test_the_lock_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        inuse.let_go(inuse.hold(tmp_path / "desk.db"))
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "desk.db.lock").stat().st_mode) == 0o600
