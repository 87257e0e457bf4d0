"""How fast alerts are stored and correlated, durably, in batches: the walk's own functions on one SQLite file.

    python -m benchmarks.alerts_store [--alerts 50000] [--services 2000] [--file ALERTS.jsonl[.gz] --topology T.json]
                                      [--batch 1000] [--json]

Without a file: storms on a made estate, one after the other, each a faulty service and those above it, with repeats
and resolves, seeded. Side by side in one run, taking turns batch by batch: bare sqlite3 inserting the same rows (the
floor), storing alone, storing and then folding, both in one transaction, and the engine without a database. Every
batch ends in a commit with synchronous=FULL. Where the bench is there, its simple methods group the same alerts in
memory. Rates count alerts of a delivery that is already parsed, by the clock and by the CPU time of the thread:
on a shared machine the two differ by whatever others took. Parsing has a figure of its own.
"""

import argparse
import gc
import gzip
import json
import random
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, case, func, select

from benchmarks import correlation
from opspilot_mcp.__main__ import COLLECT_AFTER
from opspilot_mcp.aiops import alerts, correlator, flow, folding, topologies
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.correlation import Engine
from opspilot_mcp.aiops.topology import Topology
from opspilot_mcp.clock import DAY_MS, MINUTE_MS
from opspilot_mcp.store import migrate, sqlite
from opspilot_mcp.store import schema as tables
from opspilot_mcp.store.schema import DESK

START_MS = 1_772_452_800_000  # 2026-03-02T12:00:00Z
NAMES = ("HighLatencyP99", "HighErrorRate", "SLOBurnRate", "QueueBacklog")
FAULTS = ("DiskFull", "PodCrashLooping", "ConnectionPoolExhausted", "CertificateExpired")

Step = Callable[[Connection, Sequence[Alert]], None]
Way = Callable[[Sequence[Alert]], None]


class Took(NamedTuple):
    """What one batch took by the clock, and of the CPU."""

    wall_s: float
    cpu_s: float

    def plus(self, other: "Took") -> "Took":
        return Took(self.wall_s + other.wall_s, self.cpu_s + other.cpu_s)


def estate(services: int, seed: int) -> dict[str, Any]:
    """Return a topology in layers: each service calls up to three of the layer below, every one has two instances."""
    dice = random.Random(seed)
    names = [f"svc-{number:04}" for number in range(services)]
    width = max(2, services // 8)
    calls = [
        [name, names[dice.randrange(at - at % width - width, at - at % width)]]
        for at, name in enumerate(names)
        if at >= width
        for _ in range(dice.randint(1, 3))
    ]
    instances = {f"{name}-{n}": name for name in names for n in (0, 1)}
    hosts = {instance: f"host-{dice.randrange(services // 4 + 1):04}" for instance in instances}
    return {"services": names, "calls": calls, "instances": instances, "hosts": hosts}


def storms(topology: dict[str, Any], count: int, seed: int) -> Iterator[Alert]:
    """Yield `count` alerts in order of arrival: storms of 40 alerts in 5 minutes, two at a time."""
    dice = random.Random(seed)
    callers: dict[str, list[str]] = {}
    for caller, callee in topology["calls"]:
        callers.setdefault(callee, []).append(caller)
    at_ms = START_MS
    for number in range(count):
        if number % 40 == 0:
            roots = [dice.choice(topology["services"]) for _ in range(2)]
        at_ms += dice.randrange(0, 15_000)
        service, name = dice.choice(roots), dice.choice(FAULTS)
        for _ in range(dice.randint(0, 3) if number % 20 > 1 else 0):
            service, name = dice.choice(callers.get(service, [service])), dice.choice(NAMES)
        yield Alert(
            id=f"b{number:07}",
            ts_ms=at_ms - dice.choice((0, 0, 0, 20_000)),
            arr_ms=at_ms,
            cluster="bench",
            service=service,
            instance=f"{service}-{dice.randint(0, 1)}",
            alertname=name,
            severity=dice.choice(("warning", "error", "critical")),
            summary=f"{name} at {service}",
            source="prometheus",
            status=dice.choice(("firing", "firing", "firing", "resolved")),
        )


def new_desk(folder: Path, topology: dict[str, Any]) -> Connection:
    """Return a connection to an empty desk in `folder`, with its topology."""
    folder.mkdir()
    raw = sqlite.connect(folder / "desk.db")
    conn = sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").connect()
    with conn.begin():
        migrate.upgrade(conn, DESK)
        topologies.save(conn, topology, actor="bench", now=START_MS)
    return conn


def in_one(conn: Connection, step: Step) -> Way:
    """Return a way that runs `step` on a batch in a transaction of its own, commit included."""

    def run(batch: Sequence[Alert]) -> None:
        with conn.begin():
            step(conn, batch)

    return run


def race(ways: Mapping[str, Way], stream: Sequence[Alert], batch: int) -> dict[str, list[Took]]:
    """Give each batch to every way in turn, so that a slow minute of the machine is everybody's."""
    took: dict[str, list[Took]] = {name: [] for name in ways}
    for start in range(0, len(stream), batch):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.thread_time()
            way(stream[start : start + batch])
            took[name].append(Took(time.perf_counter() - wall, time.thread_time() - cpu))
    return took


def store(conn: Connection, batch: Sequence[Alert]) -> None:
    alerts.receive(conn, batch, actor="bench", now=_now(batch))


def fold(conn: Connection, batch: Sequence[Alert]) -> None:
    folding.fold(conn, actor="bench", now=_now(batch), limit=len(batch))


def take(conn: Connection, batch: Sequence[Alert]) -> None:
    folding.take(conn, batch, actor="bench", now=_now(batch))


def _now(batch: Sequence[Alert]) -> int:
    return batch[-1].arr_ms + MINUTE_MS


def floor(folder: Path) -> Way:
    """Return a way that inserts the same rows by bare sqlite3, as durably: what the disk and SQLite alone allow."""
    folder.mkdir()
    raw = sqlite3.connect(folder / "floor.db", isolation_level=None)
    raw.execute("PRAGMA journal_mode = TRUNCATE")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute(
        "CREATE TABLE alerts "
        "(alert_id TEXT UNIQUE, ts_ms, arr_ms, service, instance, alertname, severity, summary, status)"
    )

    def run(batch: Sequence[Alert]) -> None:
        raw.execute("BEGIN IMMEDIATE")
        raw.executemany("INSERT INTO alerts VALUES (?,?,?,?,?,?,?,?,?)", [_floor_row(a) for a in batch])
        raw.execute("COMMIT")

    return run


def _floor_row(a: Alert) -> tuple[object, ...]:
    return (a.id, a.ts_ms, a.arr_ms, a.service, a.instance, a.alertname, a.severity, a.summary, a.status)


def engine_alone(topology: dict[str, Any]) -> Way:
    """Return a way that correlates in memory and stores nothing."""
    engine = Engine(Topology.from_json(topology))

    def run(batch: Sequence[Alert]) -> None:
        for alert in batch:
            engine.receive(alert)

    return run


def simple_methods(stream: Sequence[Alert], topology: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a line for each simple method of the bench; none where the bench is not there."""
    if not correlation.has_bench():
        return []
    baselines = correlation.module("baselines")
    lines = [{**a.model_dump(), "ts": a.ts_ms / 1000, "arr": a.arr_ms / 1000} for a in stream]
    found = []
    for name in correlation.METHODS:
        known = baselines.Topology(topology)
        wall, cpu = time.perf_counter(), time.thread_time()
        baselines.METHODS[name](lines, known)
        took = Took(time.perf_counter() - wall, time.thread_time() - cpu)
        found.append(figures(f"in memory: {name}", [took], len(stream)))
    return found


def rebuild_ms(conn: Connection) -> float:
    """Return what a process pays that finds the correlator changed by another, in ms."""
    correlator._kept.clear()
    with conn.begin():
        began = time.perf_counter()
        correlator.load(conn)
        return (time.perf_counter() - began) * 1000


def figures(name: str, took: Sequence[Took], count: int) -> dict[str, Any]:
    """Return one line of the table. A batch's time is that of its slowest alert: nothing is answered before commit."""
    ordered = sorted(one.wall_s for one in took)
    cpu_s = sum(one.cpu_s for one in took)
    return {
        "what": name,
        "alerts_per_s": round(count / sum(ordered)),
        "alerts_per_cpu_s": round(count / cpu_s),
        "cpu_us_per_alert": round(cpu_s / count * 1e6, 1),
        "batch_p50_ms": round(ordered[len(ordered) // 2] * 1000, 1),
        "batch_p99_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 1),
    }


def recorded(path: Path, now: int) -> tuple[list[Alert], float]:
    """Return the alerts of a recording and the seconds it took to read each into a record."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        rows = [json.loads(line) for line in lines]
    for row in rows:
        row.pop("truth", None)
    began = time.perf_counter()
    read, _ = flow.parse(rows, source=None, now=now)
    return read, time.perf_counter() - began


def measure(folder: Path, stream: Sequence[Alert], topology: dict[str, Any], batch: int) -> dict[str, Any]:
    """Run all ways over the same stream and return their figures and the desk that came of it."""
    count = len(stream)
    apart, once = new_desk(folder / "apart", topology), new_desk(folder / "once", topology)
    ways = {
        "bare sqlite3, store": floor(folder / "floor"),
        "store": in_one(apart, store),
        "fold what is stored": in_one(apart, fold),
        "store and fold at once": in_one(once, take),
        "the engine, in memory": engine_alone(topology),
    }
    took = race(ways, stream, batch)
    both = [a.plus(b) for a, b in zip(took["store"], took["fold what is stored"], strict=True)]
    rows = [figures(name, each, count) for name, each in {**took, "store, then fold": both}.items()]
    rows += simple_methods(stream, topology)
    table = tables.incidents
    paging = func.sum(case((table.c.pages, 1), else_=0))
    with once.begin():
        total, pages = once.execute(select(func.count(), paging).where(table.c.state != "merged")).one()
        open_now = once.execute(select(func.count()).select_from(tables.correlator_states)).scalar_one()
    return {
        "alerts": count,
        "incidents": total,
        "pages": pages,
        "still_growing": open_now,
        "rebuild_ms": round(rebuild_ms(once), 1),
        "bytes_per_alert": round((folder / "once" / "desk.db").stat().st_size / count),
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "rows": rows,
    }


def show(found: dict[str, Any]) -> None:
    print(f"{'way':26}{'alerts/s':>11}{'/CPU s':>11}{'CPU us':>9}{'batch p50':>12}{'batch p99':>12}")
    for row in found["rows"]:
        print(
            f"{row['what']:26}{row['alerts_per_s']:>11,}{row['alerts_per_cpu_s']:>11,}{row['cpu_us_per_alert']:>9}"
            f"{row['batch_p50_ms']:>9} ms{row['batch_p99_ms']:>9} ms"
        )
    print(", ".join(f"{name} {value:,}" for name, value in found.items() if name != "rows"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--alerts", type=int, default=50_000)
    parser.add_argument("--services", type=int, default=2_000)
    parser.add_argument("--batch", type=int, default=alerts.BATCH)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--topology", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    parse_us = None
    if asked.file and asked.topology:
        topology = json.loads(asked.topology.read_text())
        stream, took = recorded(asked.file, START_MS + 365 * DAY_MS)
        parse_us = round(took / len(stream) * 1e6, 1)
    else:
        topology = estate(asked.services, asked.seed)
        stream = list(storms(topology, asked.alerts, asked.seed))
    gc.collect()
    gc.freeze()  # what the server does after its imports
    gc.set_threshold(COLLECT_AFTER)
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), stream, topology, asked.batch)
    found["parse_us_per_alert"] = parse_us or 0
    print(json.dumps(found)) if asked.json else show(found)


if __name__ == "__main__":
    main()
