"""Cross-validation: tune the engine's parameters on one system alone, score them on the others.

    python -m benchmarks.correlation_cross [--rounds 1]

Each system is used as the tuner once: every parameter below is tried at a lower and a higher value in turn, and kept
when the ARI (with credit for runners-up) of the tuning system rises by more than .001. A row shows what those
parameters do on every system; the first row is the shipped set. If a figure fell steeply away from the diagonal, the
shipped figures would be tuned and worth nothing.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from benchmarks.correlation import Set, mean, real, score_engine, storm
from opspilot_mcp.aiops.scoring import PARAMS, Params

TRIED: Mapping[str, tuple[float, float]] = {
    "join": (0.15, 0.30),
    "join_fault": (0.40, 0.60),
    "fade_ms": (110_000, 230_000),
    "onset_ms": (15_000, 60_000),
    "hop_ms": (25_000, 60_000),
    "per_hop": (0.80, 0.94),
    "same_entity": (0.65, 0.90),
    "same_host": (0.45, 0.75),
    "latched": (0.50, 1.00),
    "front_alerts": (4, 8),
    "young_ms": (30_000, 120_000),
}
STORM_SEEDS = (301, 302, 303, 304)


def systems() -> dict[str, list[Set]]:
    found = {name: [real(name)] for name in ("micross", "boutique_bed1")}
    for estate in ("trainticket", "petshop"):
        found[f"{estate} storms"] = [storm(estate, level, seed) for level in ("medium", "hard") for seed in STORM_SEEDS]
    return found


def quality(sets: list[Set], params: Params) -> float:
    return mean(score_engine(data, params) for data in sets)["ari_also"]


def tune(sets: list[Set], rounds: int) -> tuple[Params, list[str]]:
    params, best = PARAMS, quality(sets, PARAMS)
    changed: list[str] = []
    for _ in range(rounds):
        for name, values in TRIED.items():
            for value in values:
                kind = type(getattr(PARAMS, name))
                change: dict[str, Any] = {name: kind(value)}
                other = dataclasses.replace(params, **change)
                reached = quality(sets, other)
                if reached > best + 0.001:
                    params, best = other, reached
                    changed = [c for c in changed if not c.startswith(f"{name}=")] + [f"{name}={value:g}"]
    return params, changed


def main() -> None:
    parser = argparse.ArgumentParser(description="Tune on one system, score on the others.")
    parser.add_argument("--rounds", type=int, default=1, help="passes over the parameters (default 1)")
    rounds = parser.parse_args().rounds
    found = systems()
    print("tuned on".ljust(22) + " ".join(name.rjust(20) for name in found))
    _row("nothing (shipped)", found, PARAMS, [])
    for name, sets in found.items():
        params, changed = tune(sets, rounds)
        _row(name, found, params, changed)


def _row(name: str, found: Mapping[str, list[Set]], params: Params, changed: list[str]) -> None:
    cells = " ".join(f"{quality(sets, params):>20.3f}" for sets in found.values())
    print(f"{name:<22}{cells}  {', '.join(changed)}", flush=True)


if __name__ == "__main__":
    main()
