"""The correlation engine beside the bench's simple methods: quality and speed, in one run.

    python -m benchmarks.correlation [--fresh 8] [--skip-real] [--speed]

Reads the bench in place (OPSPILOT_BENCH, or ../shared/bench beside the project) and scores with its own score.py.
`--fresh N` makes N storms a level and estate with the bench's generator, from seeds 201 on, which were never looked at
while the parameters were chosen. `--speed` times the engine on 2,000 services, and the simple methods beside it.
"""

import argparse
import importlib.util
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from opspilot_mcp.aiops import rootcause
from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.correlation import Engine, Placement
from opspilot_mcp.aiops.formats import canonical
from opspilot_mcp.aiops.history import History
from opspilot_mcp.aiops.incident_state import Incident, oldest_first
from opspilot_mcp.aiops.regroup import end_of
from opspilot_mcp.aiops.scoring import PARAMS, Params
from opspilot_mcp.aiops.topology import Topology
from opspilot_mcp.clock import MAX_MS

METHODS = ("am_service", "am_alertname", "am_inhibit", "topology_time", "time_gap")
LEVELS = ("easy", "medium", "hard")
ESTATES = ("trainticket", "petshop", "boutique_bed1")
FRESH_FROM = 201
MIXED_APART_S = (0, 30, 300)
SHOWN = ("ari", "ari_also", "missed", "groups_per_incident", "pages_per_incident", "explained", "top1", "top3")

Rows = list[dict[str, Any]]
Result = dict[str, float]


class Set:
    """One labelled set: alert lines, topology, and the root of each true incident."""

    def __init__(self, lines: Rows, topology: Mapping[str, Any], roots: Mapping[str, str]) -> None:
        self.lines = lines
        self.raw_topology = topology
        self.roots = roots
        self.alerts = [canonical(_whole(line), now_ms=MAX_MS) for line in lines]


def _whole(line: dict[str, Any]) -> dict[str, Any]:
    return {**line, "truth": None, "arr": line.get("arr") or line["ts"]}


def bench() -> Path:
    if not has_bench():
        sys.exit("The alert bench is not here: set OPSPILOT_BENCH to its folder.")
    return _bench()


def has_bench() -> bool:
    return (_bench() / "score.py").exists()


def _bench() -> Path:
    default = Path(__file__).resolve().parents[2] / "shared" / "bench"
    return Path(os.environ.get("OPSPILOT_BENCH", default)) / "alerts"


def module(name: str) -> ModuleType:
    """Load one of the bench's scripts; they import each other by name, so its folder joins the path."""
    folder = str(bench())
    if folder not in sys.path:
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(name, bench() / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, found)
    spec.loader.exec_module(found)
    return found


def real(name: str) -> Set:
    """`micross` or `boutique_bed1`: faults injected into running systems, one at a time."""
    data, score = bench() / "data", module("score")
    topology = json.loads((data / "topologies" / f"{name}.json").read_text())
    return Set(
        score.read_lines(data / f"real_{name}.jsonl.gz"), topology, score.read_roots(data / f"real_{name}.labels.csv")
    )


def storm(estate: str, level: str, seed: int, copies: int = 1) -> Set:
    hours = 3 if copies == 1 else 4
    lines, topology, incidents = module("generate").generate(estate, copies, level, seed, hours=hours)
    return Set(lines, topology, {i["id"]: i["root"] for i in incidents})


def mixed(apart_s: float, *, one_cluster: bool) -> Set:
    """Both real systems failing at once: the faults of one begin `apart_s` after every second fault of the other.

    Within a fault all times stay as they are. `one_cluster` takes away the name that tells the systems apart; the one
    service that both have gets a name of its own.
    """
    first, second = _renamed(real("micross"), "frontend", "micross-frontend"), real("boutique_bed1")
    starts, own = _starts(first.lines), _starts(second.lines)
    shift = {mine: starts[theirs] + apart_s - own[mine] for mine, theirs in zip(own, list(starts)[::2], strict=False)}
    moved = [
        {**line, "id": f"second-{line['id']}", "ts": line["ts"] + by, "arr": (line.get("arr") or line["ts"]) + by}
        for line in second.lines
        if (by := shift.get(line["truth"])) is not None
    ]
    lines = sorted([*first.lines, *moved], key=lambda line: line.get("arr") or line["ts"])
    if one_cluster:
        lines = [{**line, "cluster": "one"} for line in lines]
    return Set(lines, _joined(first.raw_topology, second.raw_topology), {**first.roots, **second.roots})


def _renamed(data: Set, service: str, name: str) -> Set:
    """Return the set with one service under another name."""
    lines = [{**line, "service": name} if line["service"] == service else line for line in data.lines]
    return Set(lines, json.loads(json.dumps(data.raw_topology).replace(f'"{service}"', f'"{name}"')), data.roots)


def _starts(lines: Rows) -> dict[str, float]:
    """Return the first event time of each fault, in order."""
    found: dict[str, float] = {}
    for line in lines:
        found[line["truth"]] = min(line["ts"], found.get(line["truth"], line["ts"]))
    return dict(sorted(found.items(), key=lambda item: item[1]))


def _joined(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return one map of two systems that share no name."""
    lists = {name: [*one.get(name, ()), *other.get(name, ())] for name in ("services", "calls")}
    maps = {name: {**one.get(name, {}), **other.get(name, {})} for name in ("instances", "hosts")}
    return {**lists, **maps}


class Outcome:
    """What the engine made of a set."""

    def __init__(self, data: Set, params: Params = PARAMS) -> None:
        self.topology = Topology.from_json(data.raw_topology)
        self.closed: list[Incident] = []
        self.placed: dict[str, Placement] = {}
        self.into: dict[str, str] = {}
        engine = Engine(self.topology, params, on_close=self.closed.append)
        started = time.process_time()
        for alert in data.alerts:
            self._take(engine.receive(alert))
        self.seconds = time.process_time() - started
        self.incidents = oldest_first([*self.closed, *engine.open_incidents()])

    def _take(self, placed: Placement) -> None:
        self.placed[placed.alert_id] = placed
        for one in placed.revised:
            self.placed[one.alert_id] = one
        self.into.update(placed.merged)

    def lines(self) -> Rows:
        rows: Rows = []
        started: set[str | None] = set()
        for placed in self.placed.values():
            key = None if placed.incident_key is None else end_of(placed.incident_key, self.into)
            kind = (
                "opened" if key is not None and key not in started else placed.reason.kind.replace("opened", "merged")
            )
            started.add(key)
            also = [end_of(other, self.into) for other in placed.also_explained_by]
            reason = {"kind": kind, "text": placed.reason.text}
            rows.append(
                {
                    "alert_id": placed.alert_id,
                    "incident_id": key,
                    "reason": reason,
                    "also_explained_by": also,
                    "suppressed": placed.suppressed,
                }
            )
        return rows

    def incident_lines(self) -> Rows:
        history, rows = History(), []
        for incident in self.incidents:
            candidates = rootcause.rank(incident, self.topology, history)
            history.learn(incident.cluster, [(place, name) for place, name, _ in rootcause.symptoms(incident)])
            rows.append(
                {
                    "incident_id": incident.key,
                    "pages": incident.pages(),
                    "root_candidates": [{"entity": c.entity} for c in candidates],
                }
            )
        return rows


def score_engine(data: Set, params: Params = PARAMS) -> Result:
    outcome = Outcome(data, params)
    found: Result = module("score").score(data.lines, outcome.lines(), outcome.incident_lines(), data.roots)
    return {**found, "per_s": len(data.alerts) / max(outcome.seconds, 1e-9)}


def score_method(data: Set, method: str) -> Result:
    baselines = module("baselines")
    topology = baselines.Topology(data.raw_topology)
    started = time.process_time()
    groups = baselines.METHODS[method](data.lines, topology)
    seconds = time.process_time() - started
    rows, incidents = baselines.results(data.lines, groups, topology, method)
    found: Result = module("score").score(data.lines, rows, incidents, data.roots)
    return {**found, "per_s": len(data.lines) / max(seconds, 1e-9)}


def mean(results: Iterable[Result]) -> Result:
    listed = list(results)
    return {key: sum(r.get(key) or 0.0 for r in listed) / len(listed) for key in (*SHOWN, "per_s")}


def show(name: str, result: Result) -> None:
    cells = " ".join(f"{result.get(key) or 0:>8.3f}" for key in SHOWN)
    print(f"{name:<34} {cells} {result['per_s']:>10,.0f}", flush=True)


def head(title: str) -> None:
    short = ("ARI", "ARI+", "missed", "grp/inc", "pg/inc", "expl", "top1", "top3")
    print(f"\n{title:<34} " + " ".join(f"{name:>8}" for name in short) + f" {'alerts/s':>10}")


def compare(title: str, sets: list[Set]) -> None:
    """One table: the engine, then each simple method, as means over the sets."""
    head(title)
    show("opspilot", mean(score_engine(data) for data in sets))
    for method in METHODS:
        show(method, mean(score_method(data, method) for data in sets))


def speed() -> None:
    """2,000 services, some 20 incidents at once: time of each alert inside the engine, in CPU time of its thread."""
    data = storm("trainticket", "medium", FRESH_FROM, copies=72)
    engine = Engine(Topology.from_json(data.raw_topology))
    took = sorted(_timed(engine, alert) for alert in data.alerts)
    count = len(took)
    print(f"\n{len(engine.topology.services):,} services, {count:,} alerts, CPU time an alert in microseconds:")
    for name, at in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)):
        print(f"  {name:<6} {took[int(count * at)] / 1000:>8.0f}")
    print(f"  {'mean':<6} {sum(took) / count / 1000:>8.0f}")


def _timed(engine: Engine, alert: Alert) -> int:
    started = time.thread_time_ns()
    engine.receive(alert)
    return time.thread_time_ns() - started


def main() -> None:
    parser = argparse.ArgumentParser(description="The correlation engine beside simple methods.")
    parser.add_argument("--fresh", type=int, default=4, help="fresh storms a level and estate (default 4)")
    parser.add_argument("--skip-real", action="store_true", help="leave the two real systems out")
    parser.add_argument("--speed", action="store_true", help="time each alert on 2,000 services")
    wanted = parser.parse_args()
    if not wanted.skip_real:
        for name in ("micross", "boutique_bed1"):
            compare(f"real faults: {name}", [real(name)])
        for one_cluster in (False, True):
            where = "in one cluster" if one_cluster else "two clusters"
            sets = [mixed(apart_s, one_cluster=one_cluster) for apart_s in MIXED_APART_S]
            compare(f"both at once, {where}, 3 ways", sets)
    for estate in ESTATES if wanted.fresh else ():
        for level in LEVELS:
            seeds = range(FRESH_FROM, FRESH_FROM + wanted.fresh)
            compare(f"{estate} {level}, {wanted.fresh} fresh storms", [storm(estate, level, seed) for seed in seeds])
    if wanted.speed:
        speed()


if __name__ == "__main__":
    main()
