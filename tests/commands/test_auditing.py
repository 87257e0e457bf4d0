"""`audit verify`: a line for each record, the first bad row by its number, and what cannot be known."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp import cli
from opspilot_mcp.store import audit
from tests.gate.conftest import MINUTE, NOON, House, house, template

__all__ = ["house", "template"]  # fixtures

Verify = Callable[..., tuple[int, str]]


@pytest.fixture
def verify(house: House, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Run `audit verify` on the house; returns the exit code and what it said."""

    def command(*options: str, home: Path = house.root) -> tuple[int, str]:
        code = cli.run(["audit", "verify", "--home", str(home), *options])
        told = capsys.readouterr()
        return code, told.out + told.err

    return command


async def keep(house: House, rows: int) -> None:
    for number in range(rows):
        await house.desk.write(audit.record, "agent:x", "ticket.created", f"T-{number + 1}", now=NOON)


def sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        for statement in statements:
            raw.execute(statement)


def parsed(told: tuple[int, str]) -> tuple[int, Any]:
    return told[0], json.loads(told[1])


async def test_two_good_records_are_two_lines(house: House, verify: Verify) -> None:
    await keep(house, 3)
    await house.tick(NOON + MINUTE)

    code, said = verify()

    assert code == 0
    assert said.splitlines() == [
        "desk  3 rows, up to row 3 noted by the gate: every row is as it was written.",
        "gate  3 rows, up to row 3 under signed checkpoints: every row is as it was written.",
    ]


async def test_rows_the_gate_has_not_noted_are_named_as_unknown(house: House, verify: Verify) -> None:
    await keep(house, 3)
    await house.tick(NOON + MINUTE)
    await keep(house, 2)

    code, told = parsed(verify("--json"))

    assert (code, told["sound"], told["desk"]["verdict"]["checkpointed"]) == (0, True, 3)
    assert told["desk"]["unknown"] == [
        "The gate noted row 3 last, 2026-11-21T12:01:00Z; rows 4 to 5 are newer, and a change of all that is newer "
        "would not show."
    ]


async def test_a_bad_row_of_the_desk_is_named(house: House, verify: Verify) -> None:
    await keep(house, 4)
    sql(house.root / "desk.db", "DROP TRIGGER audit_no_update", "UPDATE audit SET actor = 'eve' WHERE seq = 2")

    code, said = verify()

    assert (code, "desk  First bad row: 2: row 2 was changed." in said) == (1, True)


async def test_a_bad_record_of_the_gate_is_named_and_its_notes_are_not_believed(house: House, verify: Verify) -> None:
    await keep(house, 4)
    await house.tick(NOON + MINUTE)
    sql(house.gate.home.gate_db, "DROP TRIGGER audit_no_update", "UPDATE audit SET actor = 'eve' WHERE seq = 2")

    code, told = parsed(verify("--json"))

    assert (code, told["gate"]["verdict"]["first_bad"], told["desk"]["verdict"]["first_bad"]) == (1, 2, None)
    assert "notes prove nothing" in told["desk"]["unknown"][0]


async def test_a_desk_without_a_gate_is_checked_and_what_would_not_show_is_said(
    house: House, verify: Verify, tmp_path: Path
) -> None:
    await keep(house, 2)
    (tmp_path / "alone").mkdir()
    sql(house.root / "desk.db", f"VACUUM INTO '{tmp_path / 'alone' / 'desk.db'}'")

    code, said = verify(home=tmp_path / "alone")

    assert (code, "There is no gate here yet" in said) == (0, True)
    assert "a cut end, or a record written anew as a whole, would not show" in said


async def test_a_desk_that_is_gone_is_bad_once_the_gate_has_seen_it(house: House, verify: Verify) -> None:
    before = verify()
    await keep(house, 2)
    await house.tick(NOON + MINUTE)
    (house.root / "desk.db").rename(house.root / "elsewhere")

    code, said = verify()

    (house.root / "elsewhere").rename(house.root / "desk.db")
    assert (before[0], code, "the gate noted row 2 of it" in said) == (0, 1, True)


@pytest.mark.parametrize("name", ["desk.db", "gate/gate.db", "gate/approvers/root.json"])
async def test_a_damaged_file_is_said_and_is_bad(house: House, verify: Verify, tmp_path: Path, name: str) -> None:
    for file in ("desk.db", "gate/gate.db", "gate/approvers/root.json", "gate/checkpoints/log.jsonl"):
        (tmp_path / "bad" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bad" / file).write_bytes((house.root / file).read_bytes())
    (tmp_path / "bad" / name).write_bytes(b"not what it was, " * 300)

    code, said = verify(home=tmp_path / "bad")

    assert (code, "Traceback" in said) == (1, False)
    assert "estore" in said or "backup" in said


async def test_a_folder_with_neither_is_refused(verify: Verify, tmp_path: Path) -> None:
    code, said = verify(home=tmp_path / "nowhere")

    assert (code, "There is no desk and no gate" in said) == (2, True)


async def test_a_desk_of_an_older_program_is_not_called_tampered_with(house: House, verify: Verify) -> None:
    sql(house.root / "desk.db", "UPDATE alembic_version SET version_num = '0000'")

    code, said = verify()

    assert (code, "has schema 0000" in said, "First bad row" in said) == (1, True, False)
