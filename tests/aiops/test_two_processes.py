"""Several processes store and fold on one file: no lost alert, no lock error, and a kill leaves nothing half done."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import func, select

from opspilot_mcp.aiops import flow, incidents
from opspilot_mcp.store import schema as tables
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK
from tests.aiops.storms import estate
from tests.conftest import NOON

ALERTS = 200

WORKER = """
import asyncio, sys
from pathlib import Path
from opspilot_mcp.aiops import flow, folding
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.schema import DESK
from tests.aiops.test_flow import storm

async def main() -> None:
    mine = storm(int(sys.argv[2]), 200)
    async with open_db(Path(sys.argv[1]), DESK) as db:
        for start in range(0, len(mine), 20):
            batch = [one.model_copy(update={"id": f"{sys.argv[2]}-{one.id}"}) for one in mine[start : start + 20]]
            door = {"actor": "agent:" + sys.argv[2], "now": batch[-1].arr_ms}
            _, fold = await db.write(folding.take, batch, **door)
            await flow.finish(db, [fold], **door)
            print(start + 20, flush=True)

asyncio.run(main())
"""


def start(path: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(path), str(seed)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)


async def check(db: Db, *, at_least: int) -> None:
    """Fold what still waits; then every alert has one place, and every incident counts its own."""
    await flow.correlate(db, actor="agent:test", now=NOON)
    table = tables.alerts
    counts = select(table.c.incident_id, func.count()).group_by(table.c.incident_id)
    held = {row[0]: row[1] for row in await db.read(lambda conn: conn.execute(counts).all())}
    unplaced = select(func.count()).select_from(table).where(table.c.correlated_ms.is_(None))
    assert await db.read(lambda conn: conn.execute(unplaced).scalar_one()) == 0
    assert sum(held.values()) >= at_least
    page = await db.read(incidents.find, states=("open", "acknowledged", "resolved"), limit=5_000)
    assert {one.number: one.alert_count for one in page.incidents} == {n: c for n, c in held.items() if n is not None}


async def test_three_processes_store_and_fold_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with open_db(path, DESK) as db:
        await db.write(estate)

        workers = [start(path, seed) for seed in (1, 2, 3)]
        codes = [worker.wait(timeout=100) for worker in workers]

        assert codes == [0, 0, 0]
        await check(db, at_least=3 * ALERTS)


async def test_what_a_killed_process_was_told_is_stored_is_there(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with open_db(path, DESK) as db:
        await db.write(estate)

        worker = start(path, 4)
        assert worker.stdout is not None
        told = [int(worker.stdout.readline()) for _ in range(4)]
        await asyncio.sleep(0.005)  # into the middle of the next write, as often as not
        worker.send_signal(signal.SIGKILL)
        told += [int(line) for line in worker.stdout if line.strip()]
        worker.wait(timeout=10)

        await check(db, at_least=max(told))
