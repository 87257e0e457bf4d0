"""At isolation level L1 the console's user corrects a desk that another user's agents own, and both go on writing."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux, to be two users on one machine"
)
REPO = Path(__file__).parents[2]
AGENT, PEOPLE, GROUP = 61_002, 61_001, 61_000
# Everything is loaded before the user is changed: the interpreter may lie where nobody else can read it.
BOTH = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from opspilot_mcp.console import deskhand
from opspilot_mcp.desk import flow, learning, moves, replies, tickets
from opspilot_mcp.gate.deskside import Desk
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import migrate
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.schema import DESK
from tests.builders import stored_ticket
from tests.conftest import NOON

home, agent, people, group = Path(sys.argv[1]), *map(int, sys.argv[2:])
policy = Policy()

def arrive(conn):
    stored_ticket(conn)
    flow.apply_all(conn, flow.read_all(conn, ["T-1"], policy=policy), policy=policy, actor="agent:a", now=NOON)

def correct(conn):
    learning.review(conn, "T-1", "billing", by="person:ana", policy=policy, now=NOON)
    replies.save_draft(conn, "T-1", "It works.", engine="person:ana", actor="person:ana", now=NOON)
    replies.propose(conn, "T-1", None, expected_version=None, actor="person:ana", policy=policy, now=NOON)

async def of_agent(work):
    async with open_db(home / "desk.db", DESK) as db:
        await db.write(work)

async def of_person():
    desk = Desk(home / "desk.db", deskhand.may)
    await desk.write(correct)
    await desk.close()

def note(conn):
    assert tickets.get(conn, "T-1").category == "billing"
    moves.add_note(conn, "T-1", "Seen.", actor="agent:a", now=NOON)

def as_user(user, main):
    pid = os.fork()
    if pid == 0:
        os.setgroups([group]); os.setgid(group); os.setuid(user); os.umask(0o077)
        asyncio.run(main)
        os._exit(0)
    if os.waitpid(pid, 0)[1]:
        sys.exit(1)

# The schema is read from files of the package, so root makes it; the file is the agent's all the same.
asyncio.run(of_agent(lambda conn: None))
for path in home.iterdir():
    os.chown(path, agent, group)
    path.chmod(0o660)
as_user(agent, of_agent(arrive))
as_user(people, of_person())
as_user(agent, of_agent(note))
print("both wrote")
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A home as docs/security.md makes it at L1: shared, sticky, the gate's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        home.mkdir()
        os.chown(home, PEOPLE, GROUP)
        home.chmod(0o3770)
        yield home


def test_a_correction_and_an_agents_note_follow_each_other(shared: Path) -> None:
    command = [sys.executable, "-c", BOTH, str(shared), str(AGENT), str(PEOPLE), str(GROUP)]

    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.returncode) == ("both wrote", 0), done.stderr[-2000:]
    assert (shared / "desk.db").stat().st_uid == AGENT
