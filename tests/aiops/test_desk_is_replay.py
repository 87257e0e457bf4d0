"""The desk groups a recording exactly as `replay` does without it: storage adds nothing and loses nothing."""

import gzip
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from opspilot_mcp.aiops import flow, folding, replay, topologies
from opspilot_mcp.store import schema as tables
from tests.conftest import NOON

DATA = Path(__file__).parents[2] / "data"
BENCH = Path(os.environ.get("OPSPILOT_BENCH") or Path(__file__).parents[3] / "shared" / "bench") / "alerts" / "data"
LATER = NOON + 365 * 86_400_000


def on_the_desk(conn: Connection, recording: Path, topology: Path) -> dict[str, str | None]:
    """Return for each alert the first alert of its incident, after storing and folding the file in batches."""
    topologies.save(conn, json.loads(topology.read_text()), actor="operator:test", now=LATER)
    with gzip.open(recording, "rt") if recording.suffix == ".gz" else recording.open() as lines:
        read, rejected = flow.parse([json.loads(line) for line in lines], source=None, now=LATER)
    assert rejected == []
    for start in range(0, len(read), 500):
        folding.take(conn, read[start : start + 500], actor="operator:test", now=LATER)
    rows = conn.execute(select(tables.alerts.c.alert_id, tables.alerts.c.incident_id).order_by(tables.alerts.c.id))
    return named({row.alert_id: row.incident_id for row in rows})


def in_replay(recording: Path, topology: Path, out: Path) -> dict[str, str | None]:
    replay.replay(recording, topology, out=out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    return named({row["alert_id"]: row["incident_id"] for row in rows})


def named(where: Mapping[str, object]) -> dict[str, str | None]:
    """Call every incident by its first alert, whatever its id is."""
    first: dict[object, str] = {}
    for alert_id, incident in where.items():
        first.setdefault(incident, alert_id)
    return {alert_id: None if incident is None else first[incident] for alert_id, incident in where.items()}


@pytest.mark.parametrize(
    ("recording", "topology"),
    [
        (DATA / "storm.jsonl", DATA / "topology.json"),
        (BENCH / "demo_storm.jsonl", BENCH / "demo_topology.json"),
        (BENCH / "real_micross.jsonl.gz", BENCH / "topologies" / "micross.json"),
        pytest.param(
            BENCH / "real_boutique_bed1.jsonl.gz",
            BENCH / "topologies" / "boutique_bed1.json",
            marks=pytest.mark.long,
        ),
    ],
    ids=lambda path: path.name.split(".")[0],
)
def test_the_desk_groups_a_recording_as_replay_does(
    conn: Connection, tmp_path: Path, recording: Path, topology: Path
) -> None:
    if not recording.exists():
        pytest.skip(f"{recording.name} is bench data, which is not part of this repository")

    desk = on_the_desk(conn, recording, topology)

    assert desk == in_replay(recording, topology, tmp_path / "out.jsonl")
    assert_counts_agree(conn)


def assert_counts_agree(conn: Connection) -> None:
    """Every alert has its place and reason, and every incident counts the alerts it holds."""
    table = tables.alerts
    unplaced = table.c.correlated_ms.is_(None) | table.c.reason.is_(None)
    assert conn.execute(select(func.count()).select_from(table).where(unplaced)).scalar_one() == 0
    groups = conn.execute(select(table.c.incident_id, func.count().label("n")).group_by(table.c.incident_id))
    held = {row.incident_id: row.n for row in groups}
    incidents = conn.execute(select(tables.incidents.c.id, tables.incidents.c.alert_count, tables.incidents.c.state))
    for row in incidents:
        assert row.state == "merged" or row.alert_count == held[row.id]
