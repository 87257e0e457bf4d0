"""Make a raw score mean what it says: of the tickets scored 0.8, eight in ten are right.

Platt's method on the log-odds of the raw score, refitted from the latest reviewed tickets. A ticket that passed the
gate is reviewed only by the blind audit, so it stands for all that were not: it weighs 1 / audit rate.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

_EDGE = 1e-4
_ROUNDS = 12
# How many reviews the untouched score is worth: with few reviews the scale hardly moves.
_PRIOR = 4.0
_STEEPEST = 5.0


class Point(NamedTuple):
    """One reviewed ticket: its raw score, whether it was right, and how many tickets it stands for."""

    raw: float
    correct: bool
    weight: float = 1.0


class Scale(NamedTuple):
    """log-odds of being right = `slope` x log-odds of the raw score + `shift`; a positive slope keeps the order."""

    slope: float = 1.0
    shift: float = 0.0

    def apply(self, raw: float) -> float:
        """Return the probability of being right for a raw score, both 0 to 1."""
        return _chance(self.slope * _log_odds(raw) + self.shift)


def _log_odds(raw: float) -> float:
    bounded = min(1 - _EDGE, max(_EDGE, raw))
    return math.log(bounded / (1 - bounded))


def _chance(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else 1 - 1 / (1 + math.exp(log_odds))


def _slopes(points: Sequence[tuple[float, bool, float]], scale: Scale) -> tuple[float, float, float, float, float]:
    """Return gradient (slope, shift) and curvature (slope, both, shift) of the penalised log-likelihood."""
    by_slope, by_shift = _PRIOR * (1 - scale.slope), -_PRIOR * scale.shift
    curve_slope, curve_both, curve_shift = _PRIOR, 0.0, _PRIOR
    for odds, correct, weight in points:
        chance = _chance(scale.slope * odds + scale.shift)
        miss, spread = weight * (correct - chance), weight * chance * (1 - chance)
        by_slope, by_shift = by_slope + miss * odds, by_shift + miss
        curve_slope, curve_both = curve_slope + spread * odds * odds, curve_both + spread * odds
        curve_shift += spread
    return by_slope, by_shift, curve_slope, curve_both, curve_shift


def fit(points: Sequence[Point]) -> Scale:
    """Return the scale under which the reviewed tickets are likeliest; the identity without any.

    Source: Platt 1999, Advances in Large Margin Classifiers, 61-74; solved by Newton's method with a normal prior.
    """
    ready = [(_log_odds(point.raw), point.correct, point.weight) for point in points]
    scale = Scale()
    for _ in range(_ROUNDS):
        by_slope, by_shift, curve_slope, curve_both, curve_shift = _slopes(ready, scale)
        flatness = curve_slope * curve_shift - curve_both * curve_both
        move = (curve_shift * by_slope - curve_both * by_shift) / flatness
        turn = (curve_slope * by_shift - curve_both * by_slope) / flatness
        slope = min(_STEEPEST, max(1 / _STEEPEST, scale.slope + max(-1.0, min(1.0, move))))
        scale = Scale(slope, scale.shift + max(-2.0, min(2.0, turn)))
        if abs(move) + abs(turn) < 1e-6:
            break
    return scale
