"""`triage --backlog` as a person runs it: over real HTTP to a loopback server that speaks the batch API."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp import clock
from opspilot_mcp.commands import backlog
from tests.commands.test_import import jsonl, stored, ticket
from tests.engines.api_server import READING, ApiServer, Step, error

Run = Callable[..., int]
DOUBTFUL = "The plaques for room 12 and room 14 are swapped."


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """The loopback API, found by the SDK's own variable, and a key."""
    with ApiServer().running() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
        yield server


@pytest.fixture
def desk(run: Run, tmp_path: Path) -> None:
    """A desk with four doubtful tickets, one sure one and an outage."""
    texts = [f"{DOUBTFUL} Floor {n}." for n in range(4)]
    texts += [
        "My card shows two identical payments for invoice 4711. Please refund.",
        "The site is down for all users.",
    ]
    file = jsonl(tmp_path / "in.jsonl", *(ticket(n, subject="Note", body=text) for n, text in enumerate(texts, 1)))
    assert run("import", "tickets", file) == 0


@pytest.fixture
def triage(run: Run, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Run `triage --backlog --json` and return what it says."""

    def command(*options: str) -> dict[str, Any]:
        capsys.readouterr()
        assert run("triage", "--backlog", "--json", *options) == 0
        told: dict[str, Any] = json.loads(capsys.readouterr().out)
        return told

    return command


def calls(home: Path, columns: str) -> list[Any]:
    with closing(sqlite3.connect(home / "desk.db")) as raw:
        query = f"SELECT {columns} FROM ai_calls WHERE engine = 'anthropic' ORDER BY id"  # noqa: S608 - our own words
        return raw.execute(query).fetchall()


@pytest.mark.usefixtures("desk")
def test_only_the_doubtful_go_to_the_model_in_one_batch(triage: Any, api: ApiServer, home: Path) -> None:
    told = triage()

    [batch] = api.batches.values()
    assert sorted(one["custom_id"] for one in batch) == ["T-1", "T-2", "T-3", "T-4"]
    assert (told["triaged"], told["locally"], told["asked"]) == (6, 2, {"ok": 4})
    assert stored(home, "category")[:4] == [READING["category"]] * 4
    assert api.requests == []


@pytest.mark.usefixtures("desk")
def test_the_price_is_half_and_the_saving_is_said(triage: Any, api: ApiServer, home: Path) -> None:
    told = triage()

    paid = sum(cost for (cost,) in calls(home, "cost_usd"))
    assert told["cost_usd"] == pytest.approx(paid, abs=1e-6)
    assert told["saved_usd"] == pytest.approx(paid, abs=1e-6)
    assert paid > 0


@pytest.mark.usefixtures("desk")
def test_a_dry_run_counts_estimates_and_changes_nothing(triage: Any, api: ApiServer, home: Path) -> None:
    forecast = triage("--dry-run")
    before = stored(home, "triaged_ms")

    cost = triage()["cost_usd"]

    assert (forecast["untriaged"], forecast["for_model"]) == (6, 4)
    assert before == [None] * 6
    assert forecast["likely_usd"] / 3 < cost < forecast["at_most_usd"]


@pytest.mark.usefixtures("desk")
def test_without_a_key_it_is_plain_local_triage(triage: Any, home: Path) -> None:
    forecast, told = triage("--dry-run"), triage()

    assert (forecast["for_model"], forecast["model"]) == (0, None)
    assert (told["triaged"], told["locally"], told["cost_usd"]) == (6, 6, 0)
    assert None not in stored(home, "triaged_ms")


@pytest.mark.usefixtures("desk")
def test_what_the_day_s_budget_does_not_cover_is_read_locally(triage: Any, api: ApiServer, home: Path) -> None:
    (home / "policy.toml").write_text("[engine]\ndaily_usd = 0.0005\n")

    told = triage()

    assert told["asked"]["over_budget"] >= 1
    assert told["triaged"] == 6
    assert sum(cost for (cost,) in calls(home, "cost_usd")) <= 0.0005


@pytest.mark.usefixtures("desk")
def test_a_batch_the_api_does_not_take_leaves_the_local_reading(triage: Any, api: ApiServer, home: Path) -> None:
    api.then(Step(status=529, body=error("overloaded_error")))

    told = triage()

    assert (told["triaged"], told["asked"], told["cost_usd"]) == (6, {"error": 4}, 0)
    assert stored(home, "status")[:4] == ["human_review"] * 4


@pytest.mark.usefixtures("desk")
def test_a_second_run_finds_nothing_to_do_and_pays_nothing(triage: Any, api: ApiServer) -> None:
    triage()

    told = triage()

    assert (told["triaged"], told["asked"], told["batches"]) == (0, {}, [])
    assert len(api.batches) == 1


@pytest.mark.usefixtures("desk")
def test_stopped_while_it_waits_the_next_run_collects(run: Run, triage: Any, api: ApiServer, home: Path) -> None:
    api.polls_until_ended = 1_000_000
    waiting = subprocess.Popen(
        [sys.executable, "-m", "opspilot_mcp", "triage", "--backlog"],
        env={**os.environ, "OPSPILOT_HOME": str(home)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while api.polls_until_ended == 1_000_000 and time.monotonic() < deadline:
        time.sleep(0.05)

    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=30)
    api.polls_until_ended = 0
    told = triage()

    assert waiting.returncode == 130
    assert "run the command again" in said
    assert (told["asked"], len(told["batches"]), len(api.batches)) == ({"ok": 4}, 1, 1)
    assert None not in stored(home, "triaged_ms")


@pytest.mark.usefixtures("desk")
def test_a_ticket_triaged_meanwhile_keeps_what_it_has(
    triage: Any, api: ApiServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "POLL_S", 4.0)
    api.polls_until_ended = 1
    local = threading.Thread(target=_triage_locally, args=(home, api))
    local.start()

    told = triage()

    local.join()
    assert told["asked"] == {"ok": 4}
    assert READING["category"] not in stored(home, "category")[:4]


def _triage_locally(home: Path, api: ApiServer) -> None:
    """Triage everything in another process as soon as the batch was asked after once; the command polls again."""
    while api.polls_until_ended == 1:
        time.sleep(0.02)
    subprocess.run(
        [sys.executable, "-m", "opspilot_mcp", "triage", "--all"],
        env={**os.environ, "OPSPILOT_HOME": str(home), "ANTHROPIC_API_KEY": ""},
        check=True,
        capture_output=True,
    )


@pytest.mark.usefixtures("desk")
def test_an_answer_kept_from_before_is_not_paid_again(
    run: Run, triage: Any, api: ApiServer, home: Path, tmp_path: Path
) -> None:
    triage()
    again = jsonl(tmp_path / "more.jsonl", ticket(90, subject="Note", body=f"{DOUBTFUL} Floor 2."))
    assert run("import", "tickets", again) == 0

    told = triage()

    assert (told["asked"], told["cost_usd"], len(api.batches)) == ({"cached": 1}, 0, 1)
    assert calls(home, "outcome, cost_usd")[-1] == ("cached", 0.0)


@pytest.mark.usefixtures("desk")
def test_another_model_does_not_collect(
    run: Run, api: ApiServer, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    leave_a_batch(home)
    monkeypatch.setenv("OPSPILOT_MODEL", "claude-haiku-4-5")

    assert run("triage", "--backlog") == 2
    assert "Set OPSPILOT_MODEL" in capsys.readouterr().err


def leave_a_batch(home: Path) -> None:
    batch = {"id": "msgbatch_9", "model": "claude-haiku-5-5", "keys": {"T-1": "k"}, "receipts": {"T-1": 1}}
    with closing(sqlite3.connect(home / "desk.db")) as raw, raw:
        raw.execute("INSERT INTO ai_batches VALUES (?, ?, ?, NULL)", ("msgbatch_9", json.dumps(batch), clock.now_ms()))


def test_a_dry_run_of_plain_triage_is_refused(run: Run) -> None:
    assert run("triage", "--dry-run") == 2
