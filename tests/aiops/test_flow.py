"""The alert walk: what waits is folded once, in order, the same however it is cut and whoever does it."""

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from opspilot_mcp.aiops import alerts, correlator, flow, folding, incidents, topologies
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.store import audit, migrate, sqlite
from opspilot_mcp.store import schema as tables
from opspilot_mcp.store.chain import Walk
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.schema import DESK
from tests.aiops.storms import SERVICES, alert, estate, fault, fold
from tests.conftest import HOUR, MINUTE, NOON

DB_FAULT = [fault(1), alert(2, at=20), alert(3, at=40, service="shop"), alert(4, at=45, service="mailer")]


def placed(conn: Connection) -> dict[str, tuple[Any, ...]]:
    """Return where every alert is and why, by id."""
    columns = ("incident_id", "suppressed", "reason", "also_explained_by")
    rows = conn.execute(select(tables.alerts).order_by(tables.alerts.c.id)).mappings()
    return {row["alert_id"]: tuple(row[name] for name in columns) for row in rows}


def desk_of(conn: Connection) -> list[dict[str, Any]]:
    """Return all incidents, without what a fold's size may change."""
    rows = conn.execute(select(tables.incidents).order_by(tables.incidents.c.id)).mappings()
    return [{name: value for name, value in row.items() if name != "version"} for row in rows]


def new_desk(path: Path) -> Connection:
    conn = sqlite.engine_over(sqlite.connect(path), begin="BEGIN IMMEDIATE").connect()
    with conn.begin():
        migrate.upgrade(conn, DESK)
        estate(conn)
    return conn


def storm(seed: int, count: int = 400) -> list[Alert]:
    """Return two hours of alerts at every place of the estate, some of them resolves, some late."""
    dice = random.Random(seed)
    made, at = [], 0
    for number in range(count):
        at += dice.choice([0, 1, 3, 10, 60, 120])
        service = dice.choice([*SERVICES, "unknown-thing", None])
        name = dice.choice(["HighErrorRate", "HighLatencyP99", "DiskFull", "PodCrashLooping", "BatchSlow"])
        made.append(
            alert(
                number,
                at=at,
                service=service,
                host=dice.choice([None, "host-1", "host-2"]),
                alertname=name,
                summary=f"{name} at {service}",
                severity=dice.choice(["info", "warning", "error", "critical"]),
                status=dice.choice(["firing"] * 4 + ["resolved"]),
                ts_ms=NOON + (at - dice.choice([0, 0, 0, 45])) * 1000,
            )
        )
    return made


def test_a_fault_and_its_symptoms_become_one_incident_and_the_rest_another(conn: Connection) -> None:
    estate(conn)

    done = fold(conn, DB_FAULT)

    where = {alert_id: row[0] for alert_id, row in placed(conn).items()}
    assert where["a-1"] == where["a-2"] == where["a-3"] != where["a-4"]
    assert (done.alerts, len(done.opened)) == (4, 2)


def test_every_alert_in_an_incident_has_a_reason(conn: Connection) -> None:
    estate(conn)

    fold(conn, storm(1))

    assert all(reason and '"kind"' in reason for _, _, reason, _ in placed(conn).values())


def test_what_is_held_back_is_in_no_incident_and_says_why(conn: Connection) -> None:
    estate(conn)

    done = fold(conn, [alert(1, severity="info", summary="12 days of disk left")])

    assert placed(conn)["a-1"][:2] == (None, "informational")
    assert done.suppressed == {"informational": 1}


def test_folding_what_is_folded_changes_nothing(conn: Connection) -> None:
    estate(conn)
    fold(conn, DB_FAULT)
    before = desk_of(conn)

    again = fold(conn, DB_FAULT)

    assert again == folding.NOTHING
    assert desk_of(conn) == before


def one_go(conn: Connection, batch: Sequence[Alert]) -> None:
    with conn.begin():
        alerts.receive(conn, batch, actor="agent:test", now=NOON)
        folding.fold(conn, actor="agent:test", now=NOON, limit=len(batch))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cutting_the_stream_and_starting_anew_change_nothing(tmp_path: Path, seed: int) -> None:
    whole, cut = new_desk(tmp_path / "whole.db"), new_desk(tmp_path / "cut.db")
    batch, dice = storm(seed), random.Random(seed)

    one_go(whole, batch)
    start = 0
    while start < len(batch):
        end = start + dice.randint(1, 60)
        one_go(cut, batch[start:end])
        start = end
        if dice.random() < 0.5:
            correlator._kept.clear()  # what a new process starts with

    assert placed(cut) == placed(whole)
    assert desk_of(cut) == desk_of(whole)


def test_storing_and_folding_at_once_gives_what_they_give_apart(tmp_path: Path) -> None:
    apart, at_once = new_desk(tmp_path / "apart.db"), new_desk(tmp_path / "once.db")
    batch = storm(4)

    one_go(apart, batch)
    for start in range(0, len(batch), 50):
        with at_once.begin():
            folding.take(at_once, batch[start : start + 50], actor="agent:test", now=NOON)

    assert placed(at_once) == placed(apart)
    assert desk_of(at_once) == desk_of(apart)


def test_a_batch_goes_behind_what_waits(conn: Connection) -> None:
    estate(conn)
    alerts.receive(conn, [fault(1)], actor="agent:test", now=NOON)

    got, done = folding.take(conn, [alert(2, at=20)], actor="agent:test", now=NOON)

    assert (got.stored, done) == (1, folding.NOTHING)
    assert [one.id for one in alerts.waiting(conn, limit=9)] == ["a-1", "a-2"]


def test_two_connections_that_take_turns_give_one_answer(tmp_path: Path) -> None:
    alone, first = new_desk(tmp_path / "alone.db"), new_desk(tmp_path / "both.db")
    second = sqlite.engine_over(sqlite.connect(tmp_path / "both.db"), begin="BEGIN IMMEDIATE").connect()
    batch = storm(5)

    one_go(alone, batch)
    for start in range(0, len(batch), 20):
        # Each side keeps an engine of its own; the token tells it that the other was here.
        one_go((first, second)[start // 20 % 2], batch[start : start + 20])

    with first.begin(), alone.begin():
        assert placed(first) == placed(alone)
        assert desk_of(first) == desk_of(alone)


def test_a_rolled_back_fold_leaves_no_trace_in_the_engine(tmp_path: Path) -> None:
    clean, shaken = new_desk(tmp_path / "clean.db"), new_desk(tmp_path / "shaken.db")
    batch = storm(6)

    for start in range(0, len(batch), 100):
        one_go(clean, batch[start : start + 100])
        undone = shaken.begin()
        fold(shaken, batch[start : start + 100])
        undone.rollback()
        one_go(shaken, batch[start : start + 100])

    assert placed(shaken) == placed(clean)


def test_a_new_topology_holds_from_the_next_fold_on(conn: Connection) -> None:
    fold(conn, [fault(1)])
    estate(conn)

    fold(conn, [alert(2, at=20)])

    assert correlator.load(conn).engine.topology is topologies.current(conn)
    assert placed(conn)["a-2"][0] == placed(conn)["a-1"][0]


def test_a_fold_is_told_in_the_audit(conn: Connection) -> None:
    estate(conn)

    done = fold(conn, DB_FAULT)

    assert [entry.action for entry in audit.of_subject(conn, "alerts")] == ["alerts.received", "alerts.correlated"]
    assert [entry.action for entry in audit.of_subject(conn, f"INC-{done.opened[0]}")] == ["incident.opened"]


def test_a_storm_of_new_incidents_leaves_one_unbroken_chain(conn: Connection) -> None:
    apart = [alert(n, service=f"far-{n}", cluster=f"c-{n}") for n in range(5)]

    fold(conn, apart)

    walk = Walk()
    rows = conn.execute(select(tables.audit).order_by(tables.audit.c.seq)).mappings().all()
    assert all(walk.take(dict(row)) for row in rows)
    assert [row["action"] for row in rows][-5:] == ["incident.opened"] * 5


# -- through the doors' functions --------------------------------------------------------------------------------------


async def test_the_walk_answers_noise_beside_pages_and_what_stays_unexplained(db: Db) -> None:
    await db.write(estate)
    quiet = alert(9, at=50, severity="info", service="mailer", alertname="QuotaForecast", summary="60 % used")
    await flow.store(db, [*DB_FAULT, quiet], actor="agent:test", now=NOON)

    done = await flow.correlate(db, actor="agent:test", now=NOON)

    assert (done.alerts, done.waiting, done.suppressed) == (5, 0, {"informational": 1})
    assert done.opened == ("INC-1", "INC-2")
    assert done.noise == flow.Noise(alerts=5, suppressed=1, incidents=2, pages=2, unexplained=1, reduction=0.6)


async def test_a_limit_leaves_the_rest_waiting(db: Db) -> None:
    await db.write(estate)
    await flow.store(db, DB_FAULT, actor="agent:test", now=NOON)

    first = await flow.correlate(db, actor="agent:test", now=NOON, limit=3)
    second = await flow.correlate(db, actor="agent:test", now=NOON, limit=3)

    assert (first.alerts, first.waiting) == (3, 1)
    assert (second.alerts, second.waiting) == (1, 0)


async def test_correlating_nothing_answers_zeros(db: Db) -> None:
    done = await flow.correlate(db, actor="agent:test", now=NOON)

    assert (done.alerts, done.opened, done.noise.reduction) == (0, (), 0.0)


async def test_good_items_of_a_delivery_are_kept_and_bad_ones_named(db: Db) -> None:
    good = {"id": "x-1", "alertname": "DiskFull", "service": "cart-db", "ts": NOON // 1000, "severity": "critical"}

    got = await flow.ingest(db, [good, {"id": "x-2"}, "no alert"], actor="agent:test", now=NOON)

    assert (got.stored, [bad.index for bad in got.rejected]) == (1, [1, 2])


async def test_storing_and_correlating_at_once_answers_both(db: Db) -> None:
    await db.write(estate)

    got, fold = await db.write(folding.take, DB_FAULT, actor="agent:test", now=NOON)
    done = await flow.finish(db, [fold], actor="agent:test", now=NOON)

    assert got.stored == done.alerts == 4
    assert await db.read(alerts.count_waiting) == 0


async def test_two_processes_share_the_work(tmp_path: Path) -> None:
    async with open_db(tmp_path / "desk.db", DESK) as one, open_db(tmp_path / "desk.db", DESK) as two:
        await one.write(estate)
        await flow.store(one, storm(7), actor="agent:one", now=NOON)

        while (await flow.correlate(one, actor="agent:one", now=NOON, limit=30)).alerts:
            await flow.correlate(two, actor="agent:two", now=NOON, limit=30)

        found = await two.read(incidents.find, states=("open", "acknowledged", "resolved", "merged"), limit=1000)
        held_back = await two.read(suppressed)
    counted = sum(one.alert_count for one in found.incidents if one.state != "merged")
    assert counted == 400 - held_back


def suppressed(conn: Connection) -> int:
    return sum(row[0] is None for row in placed(conn).values())


@pytest.mark.parametrize("gap", [MINUTE, HOUR, 5 * HOUR])
def test_counts_agree_with_the_alerts_however_far_apart_they_are(conn: Connection, gap: int) -> None:
    estate(conn)
    spread = [fault(n, at=n * gap // 1000, summary=f"no space, try {n}") for n in range(20)]

    fold(conn, spread)

    table = tables.alerts
    for row in conn.execute(select(tables.incidents)):
        members = conn.execute(select(table.c.id).where(table.c.incident_id == row.id)).all()
        assert row.alert_count == len(members)


DUMP = """
import sys
from pathlib import Path
from sqlalchemy import select
from opspilot_mcp.aiops import folding
from opspilot_mcp.store import schema as tables
from tests.aiops.test_flow import desk_of, new_desk, placed, storm
from tests.conftest import NOON

conn, batch = new_desk(Path(sys.argv[1])), storm(9, 150)
with conn.begin():
    for start in range(0, 150, 50):
        folding.take(conn, batch[start : start + 50], actor="agent:test", now=NOON)
    print(placed(conn), desk_of(conn), conn.execute(select(tables.correlator_states)).all())
"""


@pytest.mark.long
def test_the_seed_of_hashes_changes_nothing(tmp_path: Path) -> None:
    dumps = [
        subprocess.run(
            [sys.executable, "-c", DUMP, str(tmp_path / f"{seed}.db")],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4242")
    ]

    assert dumps[0]
    assert dumps[0] == dumps[1] == dumps[2]


NASTY = [
    "",
    " ",
    "\x1f",
    "\u202e",
    "a/b",
    "x" * 400,
    "cart",
    "CART_SVC",
    "host-1",
    '"cart" quoted words of another',
    "%s{}",
    "\ud800",
]


def hostile(dice: random.Random, number: int) -> Alert:
    """Return an alert with anything anywhere, its clock off by up to the end of the calendar."""
    off = dice.choice([0, 0, 0, -400 * 24 * HOUR, 400 * 24 * HOUR, 10**17, -(10**17)])
    return Alert(
        id=dice.choice([f"h-{number}", f"h-{number - 1}", "", "same"]),
        ts_ms=NOON + number * 1000 + off,
        arr_ms=NOON + number * 1000 + dice.choice([0, 0, 0, off]),
        cluster=dice.choice(["default", *NASTY]),
        env=dice.choice(["prod", "prod", *NASTY]),
        service=dice.choice([None, *SERVICES, *NASTY]),
        instance=dice.choice([None, "cart-0", *NASTY]),
        host=dice.choice([None, "host-1", *NASTY]),
        alertname=dice.choice(["DiskFull", "HighErrorRate", *NASTY]),
        severity=dice.choice(["info", "warning", "error", "critical"]),
        summary=dice.choice(NASTY) * dice.choice([1, 1, 200]),
        status=dice.choice(["firing", "firing", "resolved"]),
        change=dice.choice([None, None, "rel-1", *NASTY]),
        labels={dice.choice(NASTY): dice.choice(NASTY)},
    )


@pytest.mark.parametrize("seed", range(4))
def test_hostile_alerts_are_all_stored_and_placed(conn: Connection, seed: int) -> None:
    estate(conn)
    dice = random.Random(seed)

    stored = 0
    for start in range(0, 600, 60):
        batch = [hostile(dice, start + n) for n in range(60)]
        got, done = folding.take(conn, batch, actor="agent:test", now=NOON)
        stored += got.stored
        assert (got.stored + got.repeated, done.alerts) == (60, got.stored)

    assert len(placed(conn)) == stored
    assert all(reason for _, _, reason, _ in placed(conn).values())
