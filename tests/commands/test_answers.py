"""`import answers`: a customer's words reach the thread once, and the clock that waited for them runs on."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.commands.test_import import jsonl, rejected, stored, ticket

Run = Callable[..., int]


@pytest.fixture
def waiting(run: Run, home: Path, tmp_path: Path) -> None:
    """Ticket X-1 of dana, which waits on her, and X-2, which is closed."""
    assert run("import", "tickets", jsonl(tmp_path / "in.jsonl", ticket(1), ticket(2))) == 0
    with closing(sqlite3.connect(home / "desk.db")) as raw, raw:
        raw.execute("UPDATE tickets SET status = 'pending', paused_ms = created_ms WHERE id = 1")
        raw.execute("UPDATE tickets SET status = 'closed' WHERE id = 2")


def thread(home: Path) -> list[Any]:
    with closing(sqlite3.connect(home / "desk.db")) as raw:
        return raw.execute("SELECT ticket_id, direction, body FROM replies ORDER BY id").fetchall()


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("name", [{"external_id": "X-1"}, {"ticket": "T-1"}, {"Ticket_ID": "X-1"}])
def test_an_answer_reaches_its_thread_and_starts_the_clock(
    run: Run, home: Path, tmp_path: Path, name: dict[str, str]
) -> None:
    file = jsonl(tmp_path / "a.jsonl", {**name, "message": "Here is the log.", "from": "Dana@example.com "})

    code = run("import", "answers", file)

    assert (code, thread(home)) == (0, [(1, "in", "Here is the log.")])
    assert stored(home, "status, paused_ms")[0] == ("open", None)


@pytest.mark.usefixtures("waiting")
def test_twice_is_once_and_the_same_words_under_another_id_are_another_answer(
    run: Run, home: Path, tmp_path: Path
) -> None:
    asks = {"external_id": "X-1", "body": "Any news?"}
    file = jsonl(tmp_path / "a.jsonl", {**asks, "id": "m-1"}, {**asks, "id": "m-2"}, asks, asks)

    codes = [run("import", "answers", file), run("import", "answers", file)]

    assert codes == [0, 0]
    assert len(thread(home)) == 3


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"external_id": "X-9", "body": "Hi"}, "called 'X-9'"),
        ({"ticket": "T-9", "body": "Hi"}, "T-9"),
        ({"ticket": "T-2", "body": "Hi"}, "closed"),
        ({"ticket": "T-1", "body": " \u200b "}, "no words"),
        ({"ticket": "T-1", "body": "Pay me", "from": "eve@example.com"}, "not the requester"),
        ({"body": "Hi"}, "names no ticket"),
        ({"ticket": "T-1", "body": ["Hi"]}, "body is not text"),
    ],
)
def test_what_cannot_be_the_customer_s_answer_is_named_and_keeps_no_other_out(
    run: Run, home: Path, tmp_path: Path, row: dict[str, Any], says: str
) -> None:
    file = jsonl(tmp_path / "a.jsonl", row, {"ticket": "T-1", "body": "Here."})

    code = run("import", "answers", file)

    assert (code, thread(home)) == (1, [(1, "in", "Here.")])
    assert [one["line"] for one in rejected(file)] == [1]
    assert says in rejected(file)[0]["reason"]


def test_another_source_s_ticket_of_that_name_gets_nothing(run: Run, home: Path, tmp_path: Path) -> None:
    run("import", "tickets", "--source", "zendesk", jsonl(tmp_path / "in.jsonl", ticket(1)))
    file = jsonl(tmp_path / "a.jsonl", {"external_id": "X-1", "body": "Hi"})

    codes = [run("import", "answers", file), run("import", "answers", "--source", "zendesk", file)]

    assert codes == [1, 0]
    assert len(thread(home)) == 1
