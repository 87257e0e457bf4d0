"""gate.db swapped while the gate runs: nothing leaves from a file nobody sees; the next start looks at the new one."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from opspilot_mcp.gate import state
from opspilot_mcp.gate.service import GateReplaced
from tests.gate.conftest import MINUTE, NOON, House
from tests.gate.test_terminal import REPO, _beats
from tests.tools.wire import environment


async def older(house: House) -> Path:
    """Return a copy of gate.db from before the message that is then signed."""
    copy = house.root / "older.db"
    shutil.copy(house.gate.home.gate_db, copy)
    await house.approve(await house.page())
    return copy


async def test_nothing_leaves_and_nothing_is_decided_on_a_file_that_was_swapped_away(house: House) -> None:
    (await older(house)).replace(house.gate.home.gate_db)

    with pytest.raises(GateReplaced):
        await house.tick(NOON + MINUTE)
    with pytest.raises(GateReplaced, match="start it again"):
        await house.approve("PR-1")

    assert house.sent() == {}


async def test_the_next_start_quarantines_the_older_file(house: House) -> None:
    (await older(house)).replace(house.gate.home.gate_db)

    await house.reopen(now=NOON + MINUTE)
    await house.tick(NOON + MINUTE)

    standing = await house.gate.db.read(state.read)
    assert "older than its checkpoints" in (standing.quarantine or "")
    assert house.sent() == {}


async def test_a_file_that_is_gone_stops_the_gate(house: House) -> None:
    house.gate.home.gate_db.rename(house.root / "away.db")

    with pytest.raises(GateReplaced):
        await house.tick(NOON + MINUTE)
    (house.root / "away.db").rename(house.gate.home.gate_db)


async def test_the_dispatcher_ends_so_that_it_is_started_on_the_new_file(house: House) -> None:
    code = "import sys; from opspilot_mcp.gate import running; sys.exit(running.main(sys.argv[1:]))"
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        str(house.root),
        cwd=REPO,
        env=environment(house.root),
        stderr=asyncio.subprocess.PIPE,
    )
    await _beats(house)
    shutil.copy(house.gate.home.gate_db, house.root / "copy.db")
    os.replace(house.root / "copy.db", house.gate.home.gate_db)  # noqa: PTH105

    said = (await asyncio.wait_for(running.communicate(), 30))[1].decode()

    assert running.returncode == 1
    assert "gate.db was replaced" in said
