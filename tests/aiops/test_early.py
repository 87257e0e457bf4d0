"""A resolve that comes before the alert it ends: it follows its alert into the incident, in whatever process."""

import random

import pytest
from sqlalchemy import Connection, select

from opspilot_mcp.aiops import correlator, folding, topologies
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.correlation import Engine, incident_key
from opspilot_mcp.aiops.early import MOST, Early, EarlyResolves
from opspilot_mcp.aiops.signals import read
from opspilot_mcp.store import schema as tables
from tests.aiops.engine_kit import ESTATE, START, alert, estate, keys, run, through_json

NOW = START + 86_400_000
FAULT = alert(0, "orders-db", "DBSlowQueries")
HARM = alert(45, "orders", arr_ms=START + 120_000)
HARM_ENDS = alert(60, "orders", status="resolved")


def first(resolve: Alert, firing: Alert) -> bool:
    """Whether the resolve, which is received first, follows the alert."""
    placed = run([resolve, firing])
    return [one.alert_id for one in placed[1].revised] == [resolve.id]


def test_a_resolve_that_comes_before_its_alert_follows_it_into_its_incident() -> None:
    placed = run([FAULT, HARM_ENDS, HARM])

    assert placed[1].reason.kind == "nothing_to_resolve"
    assert keys(placed) == [placed[0].incident_key] * 3
    followed = placed[2].revised[0]
    assert (followed.reason.kind, followed.reason.entity, followed.reason.seconds) == ("repeat", "orders", 15)


def test_an_alert_that_is_over_when_it_opens_an_incident_brings_its_resolve() -> None:
    engine = Engine(estate())

    key = run([HARM_ENDS, HARM], engine)[1].incident_key

    view = engine.view(key or "")
    assert view is not None
    assert view.alert_count == 2


@pytest.mark.parametrize(("fired", "follows"), [(59, True), (60, True), (61, False)])
def test_a_resolve_ends_what_had_fired_by_its_own_time(fired: int, follows: bool) -> None:
    firing = alert(fired, "orders", arr_ms=START + 120_000)

    assert first(HARM_ENDS, firing) is follows


@pytest.mark.parametrize(("seconds", "follows"), [(600, True), (600.001, False)])
def test_a_resolve_waits_ten_minutes_for_its_alert(seconds: float, follows: bool) -> None:
    late = alert(45, "orders", arr_ms=HARM_ENDS.arr_ms + round(seconds * 1000))

    assert first(HARM_ENDS, late) is follows


def test_a_resolve_of_long_ago_ends_no_alert() -> None:
    told_late = HARM_ENDS.model_copy(update={"arr_ms": HARM_ENDS.ts_ms + 600_001})
    firing = alert(45, "orders", arr_ms=told_late.arr_ms + 1)

    assert not first(told_late, firing)


@pytest.mark.parametrize("other", [{"instance": "orders-0"}, {"alertname": "HighLatencyP99"}, {"env": "staging"}])
def test_a_resolve_ends_only_its_own_condition(other: dict[str, str]) -> None:
    firing = HARM.model_copy(update=other)

    assert not first(HARM_ENDS, firing)


def test_a_resolve_follows_one_alert_and_no_second_one() -> None:
    again = HARM.model_copy(update={"id": "again", "arr_ms": HARM.arr_ms + 5})

    placed = run([HARM_ENDS, HARM, again])

    assert [len(one.revised) for one in placed] == [0, 1, 0]


def test_a_resolve_does_not_follow_an_alert_that_nobody_is_told_of() -> None:
    noted, ended = (one.model_copy(update={"severity": "info"}) for one in (HARM, HARM_ENDS))

    placed = run([ended, noted])

    assert [one.suppressed for one in placed] == [True, True]
    assert placed[1].revised == ()


def test_no_more_resolves_wait_than_the_bound() -> None:
    early = EarlyResolves()
    for n in range(MOST + 5):
        ended = alert(n / 100, "orders", f"metric.{n}.used:up", status="resolved")
        early.keep(Early("default", "prod", read(ended, estate())))

    waiting = early.listed()
    assert len(waiting) == MOST
    assert waiting[0].signal.name == "metric.5.used:up"


def test_resolves_are_forgotten_when_the_time_for_their_alert_is_over() -> None:
    engine = Engine(estate())

    run([HARM_ENDS, alert(1_300, "mail", "OOMKilled"), alert(1_900, "web", "OOMKilled")], engine)

    assert engine.early() == []


# ---- the same answer in whatever process


def shuffled(seed: int, alerts: int = 160) -> list[Alert]:
    """Short conditions that fire and resolve within a minute, in order of arrivals up to 90 s late."""
    dice = random.Random(seed)
    told = []
    for n in range(alerts // 2):
        at, service = n * 9.0, dice.choice(ESTATE["services"])
        name = dice.choice(["HighErrorRate", "HighLatencyP99", "OOMKilled", "UpstreamTimeouts"]) + str(n % 12)
        for second, status in ((at, "firing"), (at + dice.uniform(5, 60), "resolved")):
            late_ms = dice.randrange(90_000) if dice.random() < 0.4 else 500
            arr_ms = START + round(second * 1000) + late_ms
            told.append(alert(second, service, name, status=status, id=f"{n}-{status}", arr_ms=arr_ms))
    return sorted(told, key=lambda one: one.arr_ms)


def ends(placements: dict[str, str | None]) -> dict[str, str | None]:
    """Call every incident by its first alert, whatever its id is."""
    names: dict[str | None, str] = {}
    for alert_id in sorted(placements):
        names.setdefault(placements[alert_id], alert_id)
    return {alert_id: None if key is None else names[key] for alert_id, key in placements.items()}


def in_memory(stream: list[Alert]) -> dict[str, str | None]:
    return ends(dict(zip([one.id for one in stream], keys(run(stream)), strict=True)))


def on_the_desk(conn: Connection, stream: list[Alert], batch: int) -> dict[str, str | None]:
    """Where each alert stands on a desk on which another process takes each batch."""
    topologies.save(conn, ESTATE, actor="operator:test", now=NOW)
    for start in range(0, len(stream), batch):
        correlator._kept.clear()
        folding.take(conn, stream[start : start + batch], actor="operator:test", now=NOW)
    rows = conn.execute(select(tables.alerts.c.alert_id, tables.alerts.c.incident_id)).all()
    return ends({row.alert_id: None if row.incident_id is None else str(row.incident_id) for row in rows})


def test_the_shuffled_storms_have_resolves_that_follow_their_alert() -> None:
    for seed in range(4):
        followed = [one for placed in run(shuffled(seed)) for one in placed.revised if one.reason.kind == "repeat"]

        assert len(followed) >= 10


@pytest.mark.parametrize("seed", range(4))
def test_resolves_wait_through_a_restart(seed: int) -> None:
    storm = shuffled(seed)

    engine, parts = Engine(estate()), []
    for one in storm:
        engine = through_json(engine, estate())
        parts.append(engine.receive(one))

    assert parts == run(storm)


@pytest.mark.parametrize("batch", [1, 7, 160])
def test_processes_that_take_turns_find_the_resolves_that_wait(conn: Connection, batch: int) -> None:
    storm = shuffled(2)

    assert on_the_desk(conn, storm, batch) == in_memory(storm)


def test_a_storm_told_twice_stands_where_it_stood() -> None:
    storm = shuffled(3)
    twice = [one for told in storm for one in (told, told)]

    assert keys(run(twice))[::2] == keys(run(storm))


def test_an_incident_whose_alert_was_over_before_it_came_recovers(conn: Connection) -> None:
    topologies.save(conn, ESTATE, actor="operator:test", now=NOW)

    folding.take(conn, [HARM_ENDS], actor="agent:test", now=HARM_ENDS.arr_ms)
    correlator._kept.clear()
    done = folding.take(conn, [HARM], actor="agent:test", now=HARM.arr_ms)[1]

    row = conn.execute(select(tables.incidents)).one()
    assert row.key == incident_key("default", "prod", HARM.id)
    assert (row.id, row.alert_count, row.recovered_ms) == (done.opened[0], 2, HARM_ENDS.ts_ms)


def test_what_follows_its_alert_within_a_batch_is_not_counted_as_suppressed(conn: Connection) -> None:
    topologies.save(conn, ESTATE, actor="operator:test", now=NOW)

    done = folding.take(conn, [HARM_ENDS, HARM], actor="agent:test", now=HARM.arr_ms)[1]

    assert not done.suppressed
