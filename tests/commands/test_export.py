"""What was stored goes out whole, comes back in the same, and no spreadsheet runs it."""

import csv
import gzip
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., int]

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "=cmd|' /C calc'!A0"]
HARD: list[dict[str, Any]] = [
    {"id": "X-1", "subject": 'Ärger, "quoted"; ok', "body": "two\nlines\tand a tab", "email": "dana@example.com"},
    {"id": "X-2", "subject": "نمی‌خواهم", "body": "👩‍👩‍👧 ok", "tags": ["a", "b c"], "name": "Dana O'Neil"},
    {"id": "X-3", "subject": "plain", "body": "plain", "created_at": "2026-01-05T10:00:00Z"},
]
KEPT = ("external_id", "subject", "body", "requester_email", "requester_name", "created_at", "tags")


def jsonl(path: Path, lines: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in raw.decode().splitlines()]


def kept(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in KEPT} for row in rows]


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.csv", "out.csv.gz"])
def test_tickets_come_back_as_they_went_out(run: Run, home: Path, tmp_path: Path, name: str) -> None:
    assert run("import", "tickets", jsonl(tmp_path / "in.jsonl", HARD)) == 0
    assert run("export", "tickets", tmp_path / "first.jsonl") == 0
    assert run("export", "tickets", tmp_path / name) == 0

    codes = [run("import", "tickets", tmp_path / name, "--home", tmp_path / "other") for _ in range(2)]

    assert codes == [0, 0]
    assert run("export", "tickets", tmp_path / "second.jsonl", "--home", tmp_path / "other") == 0
    assert kept(lines_of(tmp_path / "second.jsonl")) == kept(lines_of(tmp_path / "first.jsonl"))


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv"])
def test_alerts_come_back_as_they_went_out(run: Run, tmp_path: Path, name: str) -> None:
    alert = {"id": "a1", "alertname": "Down", "ts": 1_700_000_000.25, "service": "web", "labels": {"zone": "eu, b"}}
    assert run("import", "alerts", jsonl(tmp_path / "in.jsonl", [alert, {**alert, "id": "a2", "labels": {}}])) == 0
    assert run("export", "alerts", tmp_path / "first.jsonl") == 0
    assert run("export", "alerts", tmp_path / name) == 0

    assert run("import", "alerts", tmp_path / name, "--home", tmp_path / "other") == 0

    assert run("export", "alerts", tmp_path / "second.jsonl", "--home", tmp_path / "other") == 0
    same = ("id", "ts", "alertname", "service", "host", "labels", "fingerprint", "severity")
    first, second = lines_of(tmp_path / "first.jsonl"), lines_of(tmp_path / "second.jsonl")
    assert [[one[field] for field in same] for one in second] == [[one[field] for field in same] for one in first]


def test_no_cell_of_a_csv_starts_as_a_formula(run: Run, tmp_path: Path) -> None:
    rows = [{"id": f"{text}", "subject": text, "body": text, "tags": [text]} for text in FORMULAS]
    assert run("import", "tickets", jsonl(tmp_path / "in.jsonl", rows)) == 0

    assert run("export", "tickets", tmp_path / "out.csv") == 0

    with (tmp_path / "out.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert [cell for cell in cells if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")] == []


def test_an_export_is_private_whole_or_not_there(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.csv").mkdir()

    codes = [
        run("export", "tickets", tmp_path / name) for name in ("out.csv", "folder.csv", "none/out.csv", "out.json")
    ]

    assert codes == [0, 2, 2, 2]
    assert stat.S_IMODE((tmp_path / "out.csv").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []
    assert capsys.readouterr().err.count("opspilot-mcp: ") == 3


def test_a_tag_with_a_separator_in_it_stays_one_tag(run: Run, tmp_path: Path) -> None:
    assert run("import", "tickets", jsonl(tmp_path / "in.jsonl", [{"subject": "s", "tags": ["a;b,c", "d"]}])) == 0

    assert run("export", "tickets", tmp_path / "out.jsonl") == 0

    assert lines_of(tmp_path / "out.jsonl")[0]["tags"] == ["a_b_c", "d"]
