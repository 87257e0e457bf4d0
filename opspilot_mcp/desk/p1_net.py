"""A one-sided net for P1s that no stated fact gives away, and its price.

The same learner as for categories, taught P1 or not from what people decided, on the ticket's words and its facts. A
ticket at or above the net's threshold goes to a person as a possible P1; the net never lowers a priority. Its promise
is about misses, so its threshold comes from the P1s alone, and what it costs is said beside it.
"""

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from opspilot_mcp.desk import learner
from opspilot_mcp.desk.certificate import at_most
from opspilot_mcp.desk.facts import Facts
from opspilot_mcp.desk.learner import Counts

P1, NOT_P1 = "P1", "not P1"
MISS = 0.05
DELTA = 0.10


class Told(NamedTuple):
    """A ticket's net score, frozen before a person decided, and whether it was a P1."""

    score: float
    is_p1: bool


class Net(NamedTuple):
    """Flag at or above `threshold`: misses at most `miss` of P1s with 90 % confidence, flags `flagged` of tickets."""

    threshold: float
    miss: float
    flagged: float
    p1s: int

    def words(self) -> str:
        """Return the promise and its price as one plain sentence."""
        return (
            f"to miss at most {100 * self.miss:.0f} % of your P1s, {100 * self.flagged:.0f} % of tickets are flagged "
            f"(shown on {self.p1s} P1s)"
        )


def counts_of(subject: str, body: str, facts: Facts) -> Counts:
    """Return the features of a ticket with its stated facts among them."""
    kinds = sorted({fact.kind for fact in facts.facts})
    return learner.counts_of(subject, body) | {zlib.crc32(f"fact:{kind}".encode()): 1.0 for kind in kinds}


def _missed_at_most(misses: int, p1s: int, delta: float) -> float:
    """Return the exact upper bound, to the next half per cent, on the share missed."""
    return next(step / 200 for step in range(201) if step == 200 or at_most(misses, p1s, step / 200) <= delta)


def learn_net(told: Sequence[Told], *, miss: float = MISS, delta: float = DELTA) -> Net | None:
    """Return the cheapest net that misses at most `miss` of P1s; with too few P1s the tightest that can be shown.

    None without any P1. Candidates are the P1s' own scores, chosen by count and not by what they cost, so the bound
    is exact for each: the k-th lowest P1 score leaves k - 1 misses.
    """
    scores = sorted(ticket.score for ticket in told if ticket.is_p1)
    if not scores:
        return None
    misses = max((k for k in range(len(scores)) if at_most(k, len(scores), miss) <= delta), default=0)
    threshold = scores[misses]
    flagged = sum(ticket.score >= threshold for ticket in told) / len(told)
    return Net(threshold, max(miss, _missed_at_most(misses, len(scores), delta)), flagged, len(scores))
