"""Kept answers: one table for every process, bounded by age and rows, nothing in it but the checked answer."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.store import kept_answers
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.kept_answers import KeptAnswers
from opspilot_mcp.store.schema import DESK, ai_answers
from tests.conftest import NOON

_OTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.kept_answers import KeptAnswers
from opspilot_mcp.store.schema import DESK

async def main():
    async with open_db(Path(sys.argv[1]), DESK) as db:
        print(await KeptAnswers(db, lambda: int(sys.argv[2])).get("k"))

asyncio.run(main())
"""


def count(conn: Connection) -> int:
    return conn.execute(select(func.count()).select_from(ai_answers)).scalar_one()


def test_the_newest_answer_of_a_key_counts(conn: Connection) -> None:
    kept_answers.put(conn, "k", "one", now=NOON)
    kept_answers.put(conn, "k", "two", now=NOON + 1)

    assert kept_answers.get(conn, "k", now=NOON + 1) == "two"
    assert kept_answers.get(conn, "other", now=NOON) is None


@pytest.mark.parametrize(("later", "found"), [(-1, "one"), (0, None)])
def test_an_answer_of_thirty_days_is_not_used(conn: Connection, later: int, found: str | None) -> None:
    kept_answers.put(conn, "k", "one", now=NOON)

    assert kept_answers.get(conn, "k", now=NOON + 30 * DAY_MS + later) == found


def test_what_is_too_old_goes_with_the_next_answer(conn: Connection) -> None:
    kept_answers.put(conn, "old", "one", now=NOON)

    kept_answers.put(conn, "new", "two", now=NOON + 30 * DAY_MS)

    assert count(conn) == 1


def test_past_the_limit_the_oldest_go(conn: Connection) -> None:
    for number in range(5):
        kept_answers.put(conn, f"k{number}", "x", now=NOON + number, most_rows=3)

    assert [kept_answers.get(conn, f"k{n}", now=NOON) for n in range(5)] == [None, None, "x", "x", "x"]


def test_an_answer_past_any_draft_s_length_is_not_kept(conn: Connection) -> None:
    kept_answers.put(conn, "k", "x" * (kept_answers.MOST_CHARS + 1), now=NOON)

    assert count(conn) == 0


async def test_another_process_finds_it(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with open_db(path, DESK) as db:
        await KeptAnswers(db, lambda: NOON).put("k", "one")

        other = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _OTHER_PROCESS, str(path), str(NOON), stdout=subprocess.PIPE
        )
        told, _ = await other.communicate()

    assert told.decode().strip() == "one"
