import gzip
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from opspilot_mcp.aiops import replay
from opspilot_mcp.errors import InvalidInput
from tests.aiops.engine_kit import ESTATE, bench

BASE = 1767225600
LINES: list[dict[str, Any]] = [
    {
        "id": "a1",
        "ts": BASE,
        "arr": BASE + 1,
        "service": "orders-db",
        "alertname": "DBSlowQueries",
        "severity": "critical",
    },
    {"id": "a2", "ts": BASE + 45, "service": "orders", "alertname": "HighErrorRate", "severity": "critical"},
    {"id": "a3", "ts": BASE + 50, "service": "mail", "alertname": "OOMKilled", "severity": "critical"},
    {"id": "a4", "ts": BASE + 60, "service": "web", "alertname": "CertExpirySoon", "severity": "info"},
]


def write(folder: Path, lines: list[Any], name: str = "alerts.jsonl") -> Path:
    path = folder / name
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    (folder / "topology.json").write_text(json.dumps(ESTATE))
    return path


def run(
    folder: Path, lines: list[Any], name: str = "alerts.jsonl", **over: Any
) -> tuple[replay.Summary, list[Any], list[Any]]:
    alerts = write(folder, lines, name)
    out, inc = folder / "out.jsonl", folder / "inc.jsonl"
    summary = replay.replay(alerts, folder / "topology.json", out=out, incidents=inc, **over)
    return summary, read(out), read(inc)


def read(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", ["alerts.jsonl", "alerts.jsonl.gz"])
def test_every_alert_has_one_line_in_order_of_arrival(tmp_path: Path, name: str) -> None:
    summary, out, _ = run(tmp_path, LINES, name)

    assert [line["alert_id"] for line in out] == ["a1", "a2", "a3", "a4"]
    assert set(out[0]) == {"alert_id", "incident_id", "reason", "also_explained_by", "suppressed"}
    assert set(out[0]["reason"]) == {"kind", "entity", "hops", "seconds", "score", "text"}
    assert (summary.alerts, summary.incidents, summary.pages) == (4, 2, 2)


def test_every_incident_has_one_line_with_its_root(tmp_path: Path) -> None:
    _, _, incidents = run(tmp_path, LINES)

    first = incidents[0]
    assert (first["opened_at"], first["last_event_at"], first["alert_count"]) == (BASE, BASE + 45, 2)
    assert first["root_candidates"][0]["entity"] == "orders-db"
    assert first["pages"] is True


def test_truth_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    lied_to = [{**line, "truth": f"lie{n}"} for n, line in enumerate(LINES)]

    assert run(tmp_path / "a", LINES)[1:] == run(tmp_path / "b", lied_to)[1:]


def test_an_alert_delivered_twice_has_one_line(tmp_path: Path) -> None:
    summary, out, _ = run(tmp_path, [LINES[0], *LINES])

    assert len(out) == 4
    assert summary.duplicates == 1


def test_bad_lines_are_counted_and_told_with_their_number(tmp_path: Path) -> None:
    summary, out, _ = run(tmp_path, [LINES[0], "{broken", "[]", {"ts": 1, "alertname": "x"}, LINES[1]])

    assert [line["alert_id"] for line in out] == ["a1", "a2"]
    assert [number for number, _ in summary.refused] == [2, 3, 4]
    assert "'id'" in summary.refused[2][1]


def test_a_merged_incident_shows_its_survivor_and_a_reason_of_its_own(tmp_path: Path) -> None:
    lines = [
        {"id": "a1", "ts": BASE, "service": "mail", "alertname": "CertificateExpired", "severity": "critical"},
        {"id": "a2", "ts": BASE + 10, "service": "web", "alertname": "HighErrorRate", "severity": "critical"},
        {"id": "a3", "ts": BASE + 20, "service": "web", "alertname": "CertificateExpired", "severity": "critical"},
    ]
    summary, out, incidents = run(tmp_path, lines)

    assert len({line["incident_id"] for line in out}) == len(incidents) == 1
    assert [line["reason"]["kind"] for line in out] == ["opened", "merged", "same_cause"]
    assert summary.merged == 1


def test_alerts_that_are_no_gzip_are_refused(tmp_path: Path) -> None:
    write(tmp_path, LINES)
    broken = tmp_path / "a.jsonl.gz"
    broken.write_text("not gzip")

    with pytest.raises(InvalidInput, match="alerts cannot be read"):
        replay.replay(broken, tmp_path / "topology.json", out=tmp_path / "o")


def test_progress_is_told_every_so_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "PROGRESS_EVERY", 2)
    seen: list[int] = []

    run(tmp_path, LINES, progress=seen.append)

    assert seen == [2, 4]


def test_the_picture_is_one_page_without_script_or_link(tmp_path: Path) -> None:
    html = tmp_path / "storm.html"
    hostile = {**LINES[0], "id": "x", "service": "<script>alert(1)</script>"}

    run(tmp_path, [*LINES, hostile], html=html)

    page = html.read_text()
    assert page.count("<circle") >= 5
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "orders-db" in page


def test_a_picture_of_nothing_says_so(tmp_path: Path) -> None:
    html = tmp_path / "storm.html"

    run(tmp_path, [], html=html)

    assert "No alerts." in html.read_text()


# ---- the bench, where it is present


def _scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_score", bench() / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _score(folder: Path, alerts: str, topology: str, roots: str) -> dict[str, float]:
    score, data = _scorer(), bench() / "data"
    out, inc = folder / "out", folder / "inc"
    replay.replay(data / alerts, data / topology, out=out, incidents=inc)
    result: dict[str, float] = score.score(
        score.read_lines(data / alerts), read(out), read(inc), score.read_roots(data / roots)
    )
    return result


def test_the_demo_storm_of_the_bench_is_its_four_incidents(tmp_path: Path) -> None:
    result = _score(tmp_path, "demo_storm.jsonl", "demo_topology.json", "demo_truth.json")

    assert result["ari_also"] == 1
    assert (result["missed"], result["pages_per_incident"], result["explained"], result["top1"]) == (0, 1, 1, 1)


def test_real_faults_of_micross_are_told_apart(tmp_path: Path) -> None:
    result = _score(tmp_path, "real_micross.jsonl.gz", "topologies/micross.json", "real_micross.labels.csv")

    assert result["ari"] >= 0.95
    assert (result["missed"], result["explained"]) == (0, 1)
    assert result["top1"] > 0.362


@pytest.mark.parametrize(("level", "floor"), [("easy", 0.95), ("medium", 0.80), ("hard", 0.65)])
def test_storms_of_the_bench_fold_into_their_causes(tmp_path: Path, level: str, floor: float) -> None:
    found = []
    for seed in (101, 102, 103):
        storm = f"storms/trainticket_{level}_{seed}"
        found.append(_score(tmp_path, f"{storm}/alerts.jsonl.gz", f"{storm}/topology.json", f"{storm}/truth.json"))

    assert sum(r["ari_also"] for r in found) / 3 >= floor
    assert sum(r["pages_per_incident"] for r in found) / 3 <= 1.3
