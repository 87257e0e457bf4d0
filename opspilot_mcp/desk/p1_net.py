"""A one-sided net for P1s that no stated fact gives away, and its price.

The same learner as for categories, taught P1 or not from what people decided, on the ticket's words and its facts. A
ticket at or above the net's threshold goes to a person as a possible P1; the net never moves a priority. Its promise
is about misses, so its threshold comes from the P1s alone, and what it costs is said beside it. Where the price is
above what the policy allows, the policy's limit sets the threshold, and the misses that leaves are said instead.
"""

import zlib
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

from opspilot_mcp.desk import learner
from opspilot_mcp.desk.certificate import at_most
from opspilot_mcp.desk.facts import Kind
from opspilot_mcp.desk.learner import Counts, Head, Row

P1, NOT_P1 = "P1", "not P1"
MISS = 0.05
DELTA = 0.10
MOST_FLAGGED = 0.25
# The score of a ticket whose text states a P1: the net need not catch it, it is caught.
STATED = 2.0
READY = 5  # P1s the net must have learnt before its scores count
WINDOW = 3_000
# The threshold moves with the P1s; the price, with all tickets, is looked at again after so many labels.
PRICE_EVERY = 20
# Scores fall as the learner sees more tickets that are no P1: the price is that of the latest ones.
_RECENT = 500


class Told(NamedTuple):
    """A ticket's net score, frozen before a person decided, and whether it was a P1; None while nobody has looked.

    `stands_for` is 1, or for a ticket from the blind audit the number that passed unseen for each one audited.
    """

    score: float
    is_p1: bool | None
    stands_for: float = 1.0


class Net(NamedTuple):
    """Flag at or above `threshold`: misses at most `miss` of P1s with 90 % confidence, flags `flagged` of tickets.

    `misses` of the `p1s` it was shown on lie below the threshold.
    """

    threshold: float
    miss: float
    flagged: float
    p1s: int
    misses: float

    @property
    def is_on(self) -> bool:
        """Whether the net is worth its price: it caught at least half of the P1s it was shown on."""
        return 2 * self.misses <= self.p1s

    def flags(self, score: float | None) -> bool:
        """Tell whether a ticket with this score goes to a person as a possible P1."""
        return self.is_on and score is not None and score >= self.threshold

    def words(self) -> str:
        """Return the promise and its price as one plain sentence."""
        miss, flagged, shown = f"{100 * self.miss:.0f} %", f"{100 * self.flagged:.0f} %", f"(shown on {self.p1s} P1s)"
        if self.is_on:
            return f"to miss at most {miss} of your P1s, {flagged} of tickets are flagged {shown}"
        return f"the P1 net is off: flagging {flagged} of tickets would still miss up to {miss} of your P1s {shown}"


def counts_of(counts: Counts, kinds: Iterable[Kind]) -> Counts:
    """Return a ticket's features for the net: its words and the kinds of facts it states."""
    return counts | {zlib.crc32(f"fact:{kind}".encode()): 1.0 for kind in kinds}


def _missed_at_most(misses: float, p1s: int, delta: float) -> float:
    """Return the exact upper bound, to the next half per cent, on the share missed."""
    whole = min(p1s, round(misses))
    return next(step / 200 for step in range(201) if step == 200 or at_most(whole, p1s, step / 200) <= delta)


def _by_misses(p1s: Sequence[Told], miss: float, delta: float) -> float:
    """Return the highest threshold that leaves no more misses than show `miss`, or none with too few P1s for it.

    Candidates are the P1s' own scores, chosen by count and not by what they cost, so the bound is exact for each.
    """
    allowed = max((k for k in range(len(p1s)) if at_most(k, len(p1s), miss) <= delta), default=0)
    missed, threshold = 0.0, p1s[0].score
    for p1 in p1s:
        threshold = p1.score
        missed += p1.stands_for
        if missed > allowed:
            break
    return threshold


def learn_net(
    told: Sequence[Told], *, miss: float = MISS, delta: float = DELTA, most_flagged: float = MOST_FLAGGED
) -> Net | None:
    """Return the net that misses at most `miss` of P1s; with too few P1s the tightest that can be shown.

    `told` is in the order of arrival. None without any P1. Where it would flag more than `most_flagged` of the latest
    tickets, the threshold is the lowest that flags no more. That choice looks at all scores, whoever is a P1; the two
    ways share `delta`.
    """
    p1s = sorted((ticket for ticket in told if ticket.is_p1), key=lambda ticket: ticket.score)
    if not p1s:
        return None
    scores = sorted(ticket.score for ticket in told[-_RECENT:])
    threshold = _by_misses(p1s, miss, delta / 2)
    if _share(scores, threshold) > most_flagged:
        threshold = next((score for score in scores if _share(scores, score) <= most_flagged), STATED)
    misses = sum(p1.stands_for for p1 in takewhile(lambda p1: p1.score < threshold, p1s))
    shown = max(miss, _missed_at_most(misses, len(p1s), delta / 2))
    return Net(threshold, shown, _share(scores, threshold), len(p1s), misses)


def _share(scores: Sequence[float], threshold: float) -> float:
    """Return the share of rising `scores` at or above `threshold`."""
    return 1 - bisect_left(scores, threshold) / len(scores)


@dataclass(slots=True)
class Trial:
    """A net in memory that starts from nothing: what an evaluation runs beside the category's stream."""

    miss: float = MISS
    most_flagged: float = MOST_FLAGGED
    net: Net | None = None
    head: Head = field(default_factory=Head)
    rows: dict[int, Row] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)
    seen: int = 0

    def score(self, counts: Counts, *, is_stated: bool) -> float | None:
        """Return a ticket's score before its label is known; None while too few P1s are learnt."""
        if self.seen < READY:
            return None
        return STATED if is_stated else learner.probabilities(self.head, self.rows, counts).get(P1, 0.0)

    def take(self, counts: Counts, score: float | None, is_p1: bool | None, *, stands_for: float = 1.0) -> None:
        """Keep a frozen score, learn what a person decided, and set the threshold again; None where nobody looked."""
        if score is not None:
            self.told.append(Told(score, is_p1, stands_for))
        if is_p1 is None:
            return
        learner.learn(self.head, self.rows, counts, P1 if is_p1 else NOT_P1)
        self.seen += is_p1
        if self.seen >= READY and (is_p1 or self.head.seen % PRICE_EVERY == 0):
            self.net = learn_net(self.told[-WINDOW:], miss=self.miss, most_flagged=self.most_flagged)
