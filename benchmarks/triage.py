"""Triage on real tickets, beside the bench's baselines and scikit-learn where it is installed.

    python benchmarks/triage.py [fit] [stream] [shift] [duplicates] [latency] [golden] [p1]

Needs the bench data (OPSPILOT_BENCH, or ../shared/bench beside the project). Every part says what it ran.
"""

import gzip
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

from opspilot_mcp.desk import evaluate, learner, p1_net
from opspilot_mcp.desk.certificate import Terms
from opspilot_mcp.desk.evaluate import Example, Line, Nearest, Outcome
from opspilot_mcp.desk.figures import Figures, Judged, measure

BENCH = Path(os.environ.get("OPSPILOT_BENCH", Path(__file__).resolve().parents[2] / "shared" / "bench")) / "tickets"
ORDERS = 10
DESK = ("billing", "technical", "account", "feature_request", "other")


def _bench_module(name: str) -> ModuleType:
    """Load the bench's own script: its baselines and its scorer are the yardstick."""
    sys.path.insert(0, str(BENCH))
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"{BENCH / name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _examples(name: str) -> list[Example]:
    return evaluate.read_examples(BENCH / "data" / name)


def _judge(examples: Sequence[Example], lines: Sequence[Line]) -> list[Judged]:
    return [Judged(e.label, line.predicted, line.score, line.routed) for e, line in zip(examples, lines, strict=True)]


def _row(name: str, figures: Figures) -> str:
    auto = "-" if figures.auto_error is None else f"{figures.auto_error:.4f}"
    return (
        f"{name:34}{figures.accuracy:>9.4f}{figures.macro_f1:>9.4f}{figures.risk_80:>9.4f}"
        f"{figures.calibration_error:>9.4f}{figures.auto_share:>9.4f}{auto:>9}"
    )


_HEAD = f"{'':34}{'accuracy':>9}{'macro-F1':>9}{'risk@80':>9}{'ECE':>9}{'auto':>9}{'error':>9}"


def _sklearn(train: Sequence[Example], data: Sequence[Example]) -> list[Judged] | None:
    """Return TF-IDF(1,2) + logistic regression with a fixed 0.7 gate, or None where scikit-learn is missing."""
    if importlib.util.find_spec("sklearn") is None:
        return None
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped, import-not-found, unused-ignore]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped, import-not-found, unused-ignore]

    words = TfidfVectorizer(ngram_range=(1, 2))
    model = LogisticRegression(C=10, max_iter=1_000)
    model.fit(words.fit_transform([f"{e.subject} {e.body}" for e in train]), [e.label for e in train])
    chances = model.predict_proba(words.transform([f"{e.subject} {e.body}" for e in data]))
    best = [(str(model.classes_[row.argmax()]), float(row.max())) for row in chances]
    return [
        Judged(e.label, label, score, "auto" if score >= 0.7 else "human")
        for e, (label, score) in zip(data, best, strict=True)
    ]


def _baseline(name: str, train: Sequence[Example], data: Sequence[Example]) -> list[Judged]:
    module = _bench_module("baselines")
    lines = module.run(name, [e._asdict() for e in data], [e._asdict() for e in train])
    return [Judged(e.label, x["predicted"], x["score"], x["routed"]) for e, x in zip(data, lines, strict=True)]


def fit() -> None:
    """Fit on 60 %, test on the rest, three splits."""
    for name in ("endava_dev", "banking12_dev"):
        for seed in (1, 2, 3):
            rows = _examples(f"{name}.jsonl.gz")
            Random(seed).shuffle(rows)
            train, data = rows[: int(0.6 * len(rows))], rows[int(0.6 * len(rows)) :]
            print(f"\n{name}, split 0.6, seed {seed}: {len(train)} / {len(data)}\n{_HEAD}")
            for model in ("rules", "lr", "ens"):
                print(_row(f"baseline {model}, gate 0.7", measure(_baseline(model, train, data))))
            other = _sklearn(train, data)
            if other is not None:
                print(_row("scikit-learn TF-IDF + LR, gate 0.7", measure(other)))
            ours = evaluate.train_test(train, data, terms=Terms(), seed=1)
            print(_row("opspilot, certified", measure(_judge(data, ours.lines))), flush=True)


def _halves(examples: Sequence[Example], outcome: Outcome) -> tuple[Figures, Figures]:
    judged = _judge(examples, outcome.lines)
    return measure(judged), measure(judged[len(judged) // 2 :])


def stream() -> None:
    """Start from zero: the file's order and ten others."""
    for name in ("endava_dev", "banking12_dev", "clinc_train"):
        print(f"\n{name}, stream from zero, alpha .10, delta .10, second half\n{_HEAD}")
        found = []
        for seed in range(ORDERS + 1):
            rows = _examples(f"{name}.jsonl.gz")
            if seed:
                Random(seed).shuffle(rows)
            figures = _halves(rows, evaluate.stream(rows, terms=Terms(), seed=1))[1]
            found.append(figures)
            print(_row(f"order {seed}" if seed else "file order", figures), flush=True)
        means: dict[str, Any] = {
            key: statistics.fmean(getattr(f, key) or 0.0 for f in found[1:]) for key in Figures._fields[1:]
        }
        print(_row(f"mean of {ORDERS} orders", found[0]._replace(**means)))


def _relabelled(rows: Sequence[Example], change: Callable[[int, Example], str]) -> list[Example]:
    return [row._replace(label=change(at, row)) for at, row in enumerate(rows)]


def shift() -> None:
    """Change what labels mean: shuffled everywhere, or another label set from the middle on."""
    rows = _examples("endava_dev.jsonl.gz")
    labels, half = sorted({row.label for row in rows}), len(rows) // 2
    after = dict(zip(labels, labels[1:] + labels[:1], strict=True))
    shuffled = [row.label for row in rows]
    Random(5).shuffle(shuffled)
    cases = {
        "labels shuffled": [row._replace(label=label) for row, label in zip(rows, shuffled, strict=True)],
        "new names from the middle": _relabelled(rows, lambda at, row: row.label if at < half else f"new {row.label}"),
        "two merged groups from the middle": _relabelled(
            rows, lambda at, row: row.label if at < half else "AB"[labels.index(row.label) % 2]
        ),
        "names swapped from the middle": _relabelled(
            rows, lambda at, row: row.label if at < half else after[row.label]
        ),
        "another desk from the middle": [*rows[:half], *_examples("banking12_dev.jsonl.gz")[:half]],
    }
    print(f"\nendava_dev, what labels mean changes; second half\n{_HEAD}")
    for name, changed in cases.items():
        outcome = evaluate.stream(changed, terms=Terms(), seed=1)
        print(_row(name, _halves(changed, outcome)[1]))
        for at, words in outcome.alarms:
            print(f"    alarm at ticket {at + 1} (change at {half + 1}): {words}", flush=True)


def _hadoop() -> list[dict[str, Any]]:
    with gzip.open(BENCH / "data" / "hadoop_dup.jsonl.gz", "rt", encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def duplicates() -> None:
    """Find the known duplicates among 2,503 Hadoop reports."""
    rows = _hadoop()
    pairs = json.loads((BENCH / "data" / "hadoop_dup_pairs.json").read_text(encoding="utf-8"))
    nearest, ids = Nearest(), {}
    for row in rows:
        ids[nearest.add(Example(row["id"], row["subject"], row["body"], ""), "")] = row["id"]
    by_id, ranked, spent = {row["id"]: row for row in rows}, [], []
    for pair in pairs:
        row, started = by_id[pair["query"]], time.perf_counter()
        found = nearest.rank(row["subject"], row["body"], indexed=True)
        spent.append((time.perf_counter() - started) * 1_000)
        ranked.append({"id": row["id"], "ranked": [ids[place] for place, _, _ in found][:21]})
    figures = _bench_module("score").score_pairs(pairs, ranked)
    print("\nhadoop duplicates: " + ", ".join(f"{key} {value:.3f}" for key, value in figures.items()))
    print(f"    p50 {statistics.median(spent):.1f} ms a query over {len(rows)} tickets")


def latency() -> None:
    """Score with the learner alone, its rows packed as they are stored."""
    rows = _examples("endava_dev.jsonl.gz")
    counts = [learner.counts_of(row.subject, row.body) for row in rows]
    head, known = learner.fit([(c, row.label) for c, row in zip(counts, rows, strict=True)])
    packed = {key: row.pack() for key, row in known.items()}
    spent = []
    for row in rows:
        started = time.perf_counter()
        own = learner.counts_of(row.subject, row.body)
        learner.probabilities(head, {key: learner.Row.unpack(packed[key]) for key in own if key in packed}, own)
        spent.append((time.perf_counter() - started) * 1_000)
    cuts = statistics.quantiles(spent, n=100)
    size = sum(map(len, packed.values())) / len(packed)
    print(f"\nlearner alone: p50 {cuts[49]:.2f} ms, p95 {cuts[94]:.2f} ms, p99 {cuts[98]:.2f} ms", end=" ")
    print(f"({len(packed)} rows of {size:.0f} bytes, {len(head.categories)} categories)")


def golden() -> None:
    """Read the golden development tickets by stated facts and starting rules, beside the bench's keyword rules."""
    from opspilot_mcp.desk import facts

    rows = [json.loads(line) for line in (BENCH / "data" / "golden_dev.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [facts.read(row["subject"], row["body"]) for row in rows]
    rated = [facts.priority(one) for one in found]
    named = [facts.category_by_rules(row["subject"], row["body"], DESK) for row in rows]
    moods = [facts.sentiment(row["subject"], row["body"]) for row in rows]
    human = [
        rating.priority == "P1" or one.has(*facts.FOR_A_PERSON) or confidence < 0.7
        for one, rating, (_, confidence) in zip(found, rated, named, strict=True)
    ]
    wrong = [row["label"] != name for row, (name, _) in zip(rows, named, strict=True)]
    theirs = list(_bench_module("baselines").run("rules", rows, rows))
    print(f"\ngolden development tickets: {len(rows)}; spot checks, not percentages")
    print(f"category right: {wrong.count(False)}; the bench's keyword rules: ", end="")
    print(sum(row["label"] == line["predicted"] for row, line in zip(rows, theirs, strict=True)))
    print(f"priority right: {sum(r['priority'] == x.priority for r, x in zip(rows, rated, strict=True))}")
    print(f"sentiment right: {sum(r['sentiment'] == mood for r, mood in zip(rows, moods, strict=True))}")
    print(f"P1 to a person: {sum(h for r, h in zip(rows, human, strict=True) if r['priority'] == 'P1')}", end=" of ")
    print(sum(row["priority"] == "P1" for row in rows))
    print(f"expected a person: {sum(r['expected_queue'] == 'human' for r in rows)}, of these sent to one: ", end="")
    print(sum(h for r, h in zip(rows, human, strict=True) if r["expected_queue"] == "human"))
    print(
        f"auto under the starting rule: {human.count(False)}, "
        f"wrong: {sum(w and not h for w, h in zip(wrong, human, strict=True))}"
    )


def _p1_order(rows: Sequence[Example], counts: Sequence[learner.Counts], *, order: int, most: float) -> list[float]:
    """Return, of a stream's second half, the share of P1s missed and of tickets flagged, and what the net promised.

    Everything is reviewed: it measures the net and not what the gate lets pass. Stated facts are left out.
    """
    places = list(range(len(rows)))
    if order:
        Random(order).shuffle(places)
    trial, half, missed, flagged, p1s = p1_net.Trial(most_flagged=most), len(places) // 2, 0, 0, 0
    for at, place in enumerate(places):
        is_p1, score = bool(rows[place].is_p1), trial.score(counts[place], is_stated=False)
        flags = trial.net is not None and trial.net.flags(score)
        if at >= half:
            missed, flagged, p1s = missed + (is_p1 and not flags), flagged + flags, p1s + is_p1
        trial.take(counts[place], score, is_p1)
    net = trial.net
    return [missed / p1s, flagged / (len(places) - half), net.miss if net else 1.0, net.flagged if net else 0.0, p1s]


def p1() -> None:
    """Run the P1 net on what stands in for P1s: no file of the bench has both tickets and an urgency its text tells."""
    reports = _hadoop()
    cases = {
        "endava, Administrative rights": [
            (e, e.label == "Administrative rights") for e in _examples("endava_dev.jsonl.gz")
        ],
        "endava, Purchase": [(e, e.label == "Purchase") for e in _examples("endava_dev.jsonl.gz")],
        "hadoop, Blocker": [
            (Example(r["id"], r["subject"], r["body"], ""), r["priority"] == "Blocker") for r in reports
        ],
    }
    print(f"\nP1 net, second half, mean of {ORDERS} orders (worst); promise and price as shown at the end")
    print(f"{'':32}{'limit':>7}{'missed':>16}{'flagged':>16}{'promised miss':>15}{'price':>8}{'P1s':>6}")
    for name, told in cases.items():
        rows = [example._replace(is_p1=is_p1) for example, is_p1 in told]
        counts = [learner.counts_of(row.subject, row.body) for row in rows]
        for most in (0.25, 1.0):
            done = [_p1_order(rows, counts, order=order, most=most) for order in range(1, ORDERS + 1)]
            mean = [statistics.fmean(column) for column in zip(*done, strict=True)]
            worst = [max(column) for column in zip(*done, strict=True)]
            cells = "".join(f"{f'{mean[at]:.3f} ({worst[at]:.3f})':>16}" for at in (0, 1))
            print(f"{name:32}{most:>7.2f}{cells}{mean[2]:>15.3f}{mean[3]:>8.3f}{mean[4]:>6.0f}", flush=True)


PARTS = {
    "fit": fit,
    "stream": stream,
    "shift": shift,
    "duplicates": duplicates,
    "latency": latency,
    "golden": golden,
    "p1": p1,
}


def main() -> None:
    """Run the parts named, or all."""
    if not BENCH.exists():
        raise SystemExit(f"No bench data at {BENCH}. Set OPSPILOT_BENCH to the bench folder.")
    for name in sys.argv[1:] or PARTS:
        PARTS[name]()


if __name__ == "__main__":
    main()
