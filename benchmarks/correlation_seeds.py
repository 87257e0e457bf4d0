"""The engine before and after a change, beside simple methods, on storms of seeds that no parameter was chosen on.

    python -m benchmarks.correlation_seeds --first 401 --count 12 --before e5be84f [--skip-real] [--skip-large]

`--before` is a commit: its package runs the same sets in a process of its own, out of a temporary folder. One row an
engine or method: means over the seeds. `missed` counts incidents that own no group, `unpaged` those that own no group
that pages, which is never less. Storms come from the bench's generator, at each level on each of its estates, and at
medium on eight copies of one.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.correlation import (
    ESTATES,
    LEVELS,
    Outcome,
    Result,
    Rows,
    Set,
    bench,
    module,
    real,
    score_method,
    storm,
)

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("am_inhibit", "time_gap")
SHOWN = ("ari", "ari_also", "missed", "unpaged", "groups_per_incident", "pages_per_incident", "top1", "top3")
HEADS = ("ARI", "ARI+", "missed", "unpaged", "grp/inc", "pg/inc", "top1", "top3")

Row = dict[str, Any]  # set, who, and the means of SHOWN; one JSON line from the process of another commit


def sets(first: int, count: int, *, with_real: bool, with_large: bool) -> Iterator[tuple[str, list[Set]]]:
    """Yield each set under its name, one at a time."""
    if with_real:
        for name in ("micross", "boutique_bed1"):
            yield name, [real(name)]
    seeds = range(first, first + count)
    for estate in ESTATES:
        for level in LEVELS:
            yield f"{estate} {level}", [storm(estate, level, seed) for seed in seeds]
    if with_large:
        yield "trainticket x8 medium", [storm("trainticket", "medium", seed, copies=8) for seed in seeds]


def unpaged(data: Set, placed: Rows, incidents: Rows) -> int:
    """Return how many true incidents own no group that pages; groups belong to whom the bench's scorer says."""
    group_of = {row["alert_id"]: row["incident_id"] for row in placed}
    truth = [line["truth"] for line in data.lines]
    found = [group_of.get(line["id"]) or ("alone", line["id"]) for line in data.lines]
    owner = module("score").owners(truth, found)
    paging = {row["incident_id"] for row in incidents if row["pages"]}
    owning = {t for group, t in owner.items() if group in paging}
    return len({t for t in truth if not t.startswith("noise")} - owning)


def engine_result(data: Set) -> Result:
    outcome = Outcome(data)
    placed, incidents = outcome.lines(), outcome.incident_lines()
    found: Result = module("score").score(data.lines, placed, incidents, data.roots)
    return {**found, "unpaged": unpaged(data, placed, incidents)}


def _mean(results: Iterable[Result]) -> Result:
    listed = list(results)
    return {key: sum(one.get(key) or 0.0 for one in listed) / len(listed) for key in SHOWN}


def rows(wanted: argparse.Namespace, measure: Callable[[str, Sequence[Set]], Iterable[Row]]) -> Iterator[Row]:
    chosen = sets(wanted.first, wanted.count, with_real=not wanted.skip_real, with_large=not wanted.skip_large)
    for name, listed in chosen:
        yield from measure(name, listed)


def _engine(name: str, listed: Sequence[Set]) -> Iterator[Row]:
    yield {"set": name, "who": "opspilot", **_mean(engine_result(data) for data in listed)}


def _engine_and_methods(name: str, listed: Sequence[Set]) -> Iterator[Row]:
    yield from _engine(name, listed)
    for method in METHODS:
        yield {"set": name, "who": method, **_mean(score_method(data, method) for data in listed), "unpaged": None}


def before(commit: str, arguments: Sequence[str]) -> list[Row]:
    """Return the rows of another commit's package, measured by this file."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "opspilot_mcp"], check=True, capture_output=True
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(folder, filter="data")
        (Path(folder) / "benchmarks").symlink_to(ROOT / "benchmarks")
        told = subprocess.run(
            [sys.executable, "-m", "benchmarks.correlation_seeds", "--json", *arguments],
            cwd=folder, env={**os.environ, "OPSPILOT_BENCH": str(bench().parent), "PYTHONPATH": folder},
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    return [json.loads(line) for line in told.splitlines()]


def show(found: Sequence[Row], earlier: Sequence[Row]) -> None:
    by_set = {row["set"]: {**row, "who": "before"} for row in earlier}
    print(f"{'set':<24}{'':<12}" + "".join(f"{head:>9}" for head in HEADS))
    for row in found:
        for one in (by_set.get(row["set"]), row) if row["who"] == "opspilot" else (row,):
            if one is not None:
                cells = "".join(f"{'-':>9}" if one[key] is None else f"{one[key]:>9.3f}" for key in SHOWN)
                print(f"{one['set']:<24}{one['who']:<12}{cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="The engine before and after a change, on unseen storms.")
    parser.add_argument("--first", type=int, default=401, help="first seed (default 401)")
    parser.add_argument("--count", type=int, default=12, help="seeds a level and estate (default 12)")
    parser.add_argument("--before", metavar="COMMIT", help="measure this commit's engine too")
    parser.add_argument("--skip-real", action="store_true", help="leave the two real systems out")
    parser.add_argument("--skip-large", action="store_true", help="leave the storms on eight copies out")
    parser.add_argument("--json", action="store_true", help="one JSON line a set, of this engine alone")
    wanted = parser.parse_args()
    if wanted.json:
        for row in rows(wanted, _engine):
            print(json.dumps(row), flush=True)
        return
    passed = [f"--first={wanted.first}", f"--count={wanted.count}"]
    passed += [f"--{name.replace('_', '-')}" for name in ("skip_real", "skip_large") if getattr(wanted, name)]
    show(list(rows(wanted, _engine_and_methods)), before(wanted.before, passed) if wanted.before else [])


if __name__ == "__main__":
    main()
