"""`review`: a person says what a ticket is about and how urgent; both are learnt, and both promises are shown."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.test_import import jsonl, stored, ticket

Run = Callable[..., int]


@pytest.fixture
def desk(run: Run, tmp_path: Path) -> None:
    """A desk with three triaged tickets that wait for a person."""
    bodies = [f"The plaques for room {n} are swapped." for n in range(3)]
    file = jsonl(tmp_path / "in.jsonl", *(ticket(n, subject="Note", body=body) for n, body in enumerate(bodies)))
    assert run("import", "tickets", file) == 0
    assert run("triage", "--all") == 0


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put a person at a terminal who types these lines."""

    def sit(lines: str) -> None:
        class Terminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        monkeypatch.setattr("sys.stdin", Terminal(lines))

    return sit


@pytest.mark.usefixtures("desk")
def test_a_person_s_priority_is_taken_and_the_net_answers(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    assert run("review", "T-1", "--category", "technical", "--priority", "P1", "--json") == 0

    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["priority"], told["status"], told["tier"]) == ("P1", "human_review", "L3")
    assert told["p1_net"] == "no P1 net yet: 1 of 5 P1s learnt"


@pytest.mark.usefixtures("desk")
def test_without_a_priority_the_one_triage_gave_stands(
    run: Run, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    run("review", "T-1", "--category", "technical", "--json")

    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["priority"], told["p1_net"]) == ("P3", "no P1 net: no person has called a ticket P1 yet")


@pytest.mark.usefixtures("desk")
def test_going_through_what_waits_takes_a_priority_behind_the_category(
    run: Run, home: Path, typed: Callable[[str], None]
) -> None:
    typed("2 P1\n\ntechnical\n")

    assert run("review") == 0
    assert stored(home, "category, priority")[0] == ("technical", "P1")
    assert [priority for _, priority in stored(home, "category, priority")[1:]] == ["P3", "P3"]


@pytest.mark.parametrize(
    "argv",
    [
        ("T-1",),
        ("--category", "technical"),
        ("--priority", "P1"),
        ("T-1", "--category", "technical", "--priority", "P9"),
    ],
)
@pytest.mark.usefixtures("desk")
def test_half_an_answer_is_refused(run: Run, argv: tuple[str, ...]) -> None:
    assert run("review", *argv) == 2
