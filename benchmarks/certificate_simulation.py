"""How often is the certificate's promise broken? Simulated streams with known truth, beside the naive threshold.

    python benchmarks/certificate_simulation.py [--streams 500] [--tickets 1500]

Each stream is a desk that starts from nothing. A ticket has an ease; the learner's chance to be right grows with ease
and with the labels it has seen, so the scores in the certificate's window come from a learner that kept changing. A
label is seen only where the ticket went to a person or the audit. The truth at a threshold is computed, not sampled.

The promise is broken in a stream when, at any moment a certificate was issued, the error of the tickets at or above
its threshold was above alpha: of the tickets of its window as they were scored ("window"), and of the learner as it
was then ("then"). The naive threshold is chosen at the same moments: the loosest with an observed error of at most
alpha among all reviewed tickets.
"""

import argparse
import math
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from opspilot_mcp.desk.certificate import Frozen, Gate, Terms, in_window

_EASE_GRID = [(i + 0.5) / 200 for i in range(200)]


class Setting(NamedTuple):
    """A kind of desk: `chance` of being right by ease and labels seen, and how the score tells it."""

    name: str
    chance: Callable[[float, int], float]
    tell: Callable[[float], float]


def _growing(ease: float, labels: int) -> float:
    grown = 1 - math.exp(-labels / 100)
    return 0.15 + 0.84 * grown / (1 + math.exp(-9 * (ease - 0.35)))


def _slow(ease: float, labels: int) -> float:
    grown = 1 - math.exp(-labels / 300)
    return 0.15 + 0.83 * grown / (1 + math.exp(-7 * (ease - 0.4)))


def _near_alpha(ease: float, labels: int) -> float:
    """Just worse than alpha = 0.10 at every score: the hardest case, any certificate is wrong."""
    return 0.895 + 0.0 * ease * labels


SETTINGS = (
    Setting("growing, honest score", _growing, lambda chance: chance),
    Setting("growing, score too sure", _growing, lambda chance: chance**0.4),
    Setting("growing, score too shy", _growing, lambda chance: chance**2.5),
    Setting("slow learner", _slow, lambda chance: chance),
    Setting("0.895 right, score says so", _near_alpha, lambda chance: chance),
    Setting("0.895 right, score says 0.97", _near_alpha, lambda chance: chance + 0.075),
    Setting("nothing to learn", lambda ease, labels: 0.24 + 0.0 * ease * labels, lambda chance: chance),
)


class Seen(NamedTuple):
    """A ticket as it was scored: its true chance then, and what the desk knows of it."""

    chance: float
    frozen: Frozen


def _score(setting: Setting, chance: float, random: Random) -> float:
    return min(0.999, max(0.001, setting.tell(chance) + random.gauss(0, 0.03)))


def _error_then(setting: Setting, labels: int, threshold: float) -> float:
    """Return the true error at or above a threshold for the learner as it is, the score's noise integrated out."""
    passed = wrong = 0.0
    for ease in _EASE_GRID:
        chance = setting.chance(ease, labels)
        passes = 0.5 * math.erfc((threshold - setting.tell(chance)) / (0.03 * math.sqrt(2)))
        passed, wrong = passed + passes, wrong + passes * (1 - chance)
    return wrong / passed if passed > 1e-9 else 0.0


def _error_in_window(seen: list[Seen], threshold: float) -> float:
    passed = [ticket.chance for ticket in in_window(seen) if ticket.frozen.score >= threshold]
    return 1 - sum(passed) / len(passed) if passed else 0.0


def _naive(seen: list[Seen], alpha: float) -> float | None:
    """Return the loosest threshold whose observed error is at most alpha."""
    reviewed = sorted((t.frozen for t in in_window(seen) if t.frozen.correct is not None), key=lambda f: -f.score)
    errors, best = 0, None
    for count, frozen in enumerate(reviewed, 1):
        errors += not frozen.correct
        if count >= 20 and errors <= alpha * count:
            best = frozen.score
    return best


class Broken(NamedTuple):
    """What one stream showed: was the promise broken, in either sense, and the share certified at the end."""

    window: bool
    then: bool
    share: float


def certified_stream(setting: Setting, *, tickets: int, seed: int, terms: Terms) -> Broken:
    """Run one desk under the certificate."""
    random, gate, seen, labels = Random(seed), Gate(terms=terms, salt=str(seed)), list[Seen](), 0
    window = then = False
    for number in range(tickets):
        chance = setting.chance(random.random(), labels)
        score, right = _score(setting, chance, random), random.random() < chance
        if gate.decide(str(number), score) == "auto":
            seen.append(Seen(chance, Frozen(score, None)))
            continue
        seen.append(Seen(chance, Frozen(score, right)))
        labels += 1
        event, tests = gate.review(seen[-1].frozen), gate.tests
        if event == "alarm":
            seen = []
        now = gate.run_test([t.frozen for t in seen]) if event == "test" else None
        if now is not None and now.test == gate.tests > tests:
            window |= _error_in_window(seen, now.tested_threshold) > gate.alpha
            then |= _error_then(setting, labels, now.tested_threshold) > gate.alpha
    return Broken(window, then, gate.certificate.share if gate.certificate else 0.0)


def naive_stream(setting: Setting, *, tickets: int, seed: int, terms: Terms) -> Broken:
    """Run the same desk under a threshold chosen by observed error, at the same geometric counts."""
    random, seen, labels, threshold = Random(seed), list[Seen](), 0, None
    due, window, then = terms.first_reviews, False, False
    for _ in range(tickets):
        chance = setting.chance(random.random(), labels)
        score, right = _score(setting, chance, random), random.random() < chance
        passed = threshold is not None and score >= threshold
        if passed and random.random() >= terms.audit_rate:
            seen.append(Seen(chance, Frozen(score, None)))
            continue
        seen.append(Seen(chance, Frozen(score, right)))
        labels += 1
        if labels >= due:
            due, threshold = math.ceil(labels * terms.growth), _naive(seen, terms.alpha)
            if threshold is not None:
                window |= _error_in_window(seen, threshold) > terms.alpha
                then |= _error_then(setting, labels, threshold) > terms.alpha
    share = sum(t.frozen.score >= threshold for t in seen) / len(seen) if threshold is not None else 0.0
    return Broken(window, then, share)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def main() -> None:
    """Print one line a setting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--tickets", type=int, default=1500)
    args = parser.parse_args()
    print(
        f"{args.streams} streams of {args.tickets} tickets, alpha .10, delta .10: in what share was the promise broken?"
    )
    print(f"{'setting':30}{'certificate window, then':>26}{'share':>8}{'naive window, then':>22}{'seconds':>9}")
    for setting in SETTINGS:
        started = time.perf_counter()
        done = [certified_stream(setting, tickets=args.tickets, seed=s, terms=Terms()) for s in range(args.streams)]
        naive = [naive_stream(setting, tickets=args.tickets, seed=s, terms=Terms()) for s in range(args.streams)]
        cells = [_mean([b.window for b in done]), _mean([b.then for b in done]), _mean([b.share for b in done])]
        cells += [_mean([b.window for b in naive]), _mean([b.then for b in naive])]
        row = f"{cells[0]:>17.3f}, {cells[1]:.3f}{cells[2]:>10.3f}{cells[3]:>14.3f}, {cells[4]:.3f}"
        print(f"{setting.name:30}{row}{time.perf_counter() - started:>10.0f}", flush=True)


if __name__ == "__main__":
    main()
