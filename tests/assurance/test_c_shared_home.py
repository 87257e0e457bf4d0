"""ASSURANCE C04 at level L1: two users on one desk in a sticky home (3770), with real users and both journals."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.assurance.test_c_isolation import AGENT, GATE, REPO, as_user, environment, opspilot, shared_home

__all__ = ["shared_home"]  # fixture

# Opens the desk as every process of ours does, under a journal of choice, and writes more than its cache holds.
WRITER = """
import os, sys
from pathlib import Path
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.store import sqlite
path, mode, act = sys.argv[1:]
sqlite.wanted_journal = lambda: mode
try:
    raw = sqlite.connect(Path(path))
    raw.execute("PRAGMA cache_size = 2")
    raw.execute("CREATE TABLE IF NOT EXISTS scratch (x)")
    raw.execute("BEGIN IMMEDIATE")
    for _ in range(50):
        raw.execute("INSERT INTO scratch VALUES (randomblob(4000))")
    if act == "die":
        os.kill(os.getpid(), 9)
    raw.execute("COMMIT")
    print(raw.execute("SELECT COUNT(*) FROM scratch").fetchone()[0], raw.execute("PRAGMA quick_check").fetchone()[0])
    raw.close()
except OpsPilotError as error:
    print(error)
"""


def writes(home: Path, uid: int, mode: str, act: str = "end") -> str:
    """Write as a user and say how it ended; `die` is a kill -9 in the middle of the transaction."""
    command = as_user(uid, [sys.executable, "-c", WRITER, str(home / "desk.db"), mode, act])
    done = subprocess.run(command, cwd=REPO, env=environment(home), capture_output=True, text=True, check=False)
    return done.stdout.strip() or f"killed {done.returncode}"


@pytest.mark.parametrize("mode", ["truncate", "wal"])
def test_c04_two_users_write_in_turns_and_the_gate_mends_what_an_agent_left(shared_home: Path, mode: str) -> None:
    turns = [(AGENT, "end"), (GATE, "end"), (AGENT, "end"), (AGENT, "die"), (GATE, "end"), (AGENT, "end")]

    said = [writes(shared_home, uid, mode, act) for uid, act in turns]

    assert said == ["50 ok", "100 ok", "150 ok", "killed -9", "200 ok", "250 ok"]


def test_c04_what_the_gate_left_is_said_to_the_agent_and_mended_by_the_gate(shared_home: Path) -> None:
    (shared_home / "desk.db-journal").unlink(missing_ok=True)  # whoever writes next owns the new one: the gate

    said = [writes(shared_home, uid, "truncate", act) for uid, act in ((GATE, "end"), (GATE, "die"), (AGENT, "end"))]
    mended = [writes(shared_home, uid, "truncate") for uid in (GATE, AGENT)]

    assert said[:2] == ["50 ok", "killed -9"]
    assert "Start the gate" in said[2]
    assert mended == ["100 ok", "150 ok"]


@pytest.mark.parametrize(("mode", "is_told"), [(0o3770, False), (0o2770, True)])
def test_c04_a_home_without_the_sticky_bit_is_told_what_it_lacks(shared_home: Path, mode: int, is_told: bool) -> None:
    shared_home.chmod(mode)

    said = opspilot(shared_home, "gate", "status", uid=GATE).stdout.decode()

    assert "Isolation L1" in said
    assert ("chmod 3770" in said) is is_told


def test_c01_a_gate_command_of_the_agents_user_is_refused_in_one_sentence(shared_home: Path) -> None:
    done = opspilot(shared_home, "gate", "pending", uid=AGENT)

    assert done.returncode == 2
    assert len(done.stderr.decode().splitlines()) == 1
