"""When may a ticket skip the person? Under a certificate that this desk's own reviewed tickets paid for.

Learn-then-Test (Angelopoulos et al. 2021): thresholds are tried from strict to loose, each by an exact binomial tail
at the same level, until the first that fails; all that passed hold together. The promise: among tickets scoring at or
above the threshold, as they come in the stated window, the error is at most `alpha`, and it is false with probability
at most `delta`, as long as the stream does not shift. The learner changes with every label, so scores are frozen
before the label is known, and the simulation in `benchmarks/certificate_simulation.py` includes that change.

Four things keep the gate open without breaking the promise. A certificate that stands is kept: a later test can only
loosen it. Tests come at geometric counts of reviews and share delta. A test that the scores themselves expect to gain
nothing is not run, and spends nothing. Once the gate is open only the blind audit
reviews what passes, so passing and new tickets are two strata, weighted by how many tickets really fall in each.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple, TypeVar

from opspilot_mcp.desk.drift import Watch

_T = TypeVar("_T")
Route = Literal["auto", "human", "audit"]

# The certificate looks back on the later half of the epoch, at most this many tickets: older frozen scores come from a
# learner that knew less.
WINDOW = 3_000
_ANY = 2.0  # above every score: no certificate stands
# The error rate a start is sized for. Fewer tickets than that could fail the first step by one unlucky ticket.
_HOPED_ERROR = 0.03
_STARTS = 2
_LADDER = 1.07
_WORTH_A_TEST = 1.1  # the share of tickets must be expected to grow by this factor
# A first certificate that lets few tickets pass costs the reviews a good one needs: wait for this share for a while.
_FIRST_SHARE = 0.3
# Tickets already lost to a shift count against the desk too: after an alarm the next certificate must be better.
_AFTER_ALARM = 0.85
_RECENT = 200
_SHARE_SLACK = 1.2
_SHARE_STEP = 0.001
_PATIENCE = 600
# The first scores of an epoch come from a learner that knows a few labels; they are never in the window.
_IMMATURE = 40
_GRID = 24


class Terms(NamedTuple):
    """What the desk asks for: error at most `alpha` with probability 1 - `delta`, and the share audited blindly."""

    alpha: float = 0.10
    delta: float = 0.10
    audit_rate: float = 0.10
    first_reviews: int = 70
    growth: float = 1.2


class Frozen(NamedTuple):
    """A ticket's score as it was before its label was known; `correct` is None while nobody reviewed it."""

    score: float
    correct: bool | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """A threshold that passed, with the reviews behind it.

    `tested_share` of the window's tickets scored at least `tested_threshold`. As the learner grows surer, more do,
    and those were not in the test: `threshold` rises with them, so that no larger share passes until a new test.
    `share` is what passes now.
    """

    threshold: float
    tested_threshold: float
    tested_share: float
    reviews: int
    errors: int
    share: float
    test: int


@lru_cache(maxsize=4096)
def _chances(n: int, p: float) -> tuple[float, ...]:
    """Return the binomial probabilities of 0 to n, built outwards from the likeliest count."""
    if p <= 0 or p >= 1:
        return tuple(float(k == (n if p >= 1 else 0)) for k in range(n + 1))
    top = min(n, int((n + 1) * p))
    ways = math.lgamma(n + 1) - math.lgamma(top + 1) - math.lgamma(n - top + 1)
    out = [0.0] * (n + 1)
    out[top] = math.exp(ways + top * math.log(p) + (n - top) * math.log1p(-p))
    odds = p / (1 - p)
    for k in range(top, n):
        out[k + 1] = out[k] * (n - k) / (k + 1) * odds
    for k in range(top, 0, -1):
        out[k - 1] = out[k] * k / ((n - k + 1) * odds)
    return tuple(out)


def at_most(errors: int, reviews: int, rate: float) -> float:
    """Return the exact probability of at most `errors` in `reviews` where each is wrong with probability `rate`."""
    return min(1.0, math.fsum(_chances(reviews, rate)[: errors + 1]))


class Stratum(NamedTuple):
    """Reviewed tickets drawn evenly from a share of all that pass; the shares of the strata add to 1."""

    errors: int
    reviews: int
    share: float


def _joint(first: Stratum, second: Stratum, observed: float, rate: float, other: float) -> float:
    """Return the chance of a weighted error of at most `observed` when the strata err at `rate` and `other`."""
    cumulated = list(accumulate(_chances(second.reviews, other)))
    total = 0.0
    for errors, chance in enumerate(_chances(first.reviews, rate)):
        rest = observed - first.share * errors / first.reviews
        if rest < 0:
            break
        total += chance * cumulated[min(second.reviews, int(second.reviews * rest / second.share))]
    return total


def strata_at_most(first: Stratum, second: Stratum, alpha: float, *, enough: float = 1.0) -> float:
    """Return the largest chance of so low a weighted error under any pair of rates whose weighted mean is `alpha`.

    The search stops at the first pair whose chance is above `enough`.
    """
    if not first.reviews or first.share <= 0:
        return at_most(second.errors, second.reviews, alpha)
    if not second.reviews or second.share <= 0:
        return at_most(first.errors, first.reviews, alpha)
    observed = sum(s.share * s.errors / s.reviews for s in (first, second)) + 1e-12
    low, high = max(0.0, (alpha - second.share) / first.share), min(1.0, alpha / first.share)
    largest = 0.0
    # Equal rates are the likeliest worst case, so the walk starts in the middle of the range.
    for step in sorted(range(_GRID + 1), key=lambda at: abs(low + (high - low) * at / _GRID - alpha)):
        rate = low + (high - low) * step / _GRID
        other = min(1.0, max(0.0, (alpha - first.share * rate) / second.share))
        largest = max(largest, _joint(first, second, observed, rate, other))
        if largest > enough:
            break
    return largest


@lru_cache(maxsize=256)
def smallest_start(alpha: float, level: float) -> int:
    """Return how many reviews a first step needs to pass at the hoped error."""
    reviews = 1
    while at_most(int(_HOPED_ERROR * reviews), reviews, alpha) > level:
        reviews += 1
    return reviews


class _Window(NamedTuple):
    """The window sorted for testing: reviewed tickets by falling score, all scores falling, and what stands."""

    reviewed: list[tuple[float, bool]]
    scores: list[float]
    standing: float

    def passing(self, threshold: float) -> int:
        return sum(score >= threshold for score in self.scores)

    def strata(self, count: int, threshold: float) -> tuple[Stratum, Stratum]:
        """Split the `count` surest reviewed tickets into those above what stands and those it would add."""
        held = [correct for score, correct in self.reviewed[:count] if score >= self.standing]
        added = [correct for score, correct in self.reviewed[:count] if score < self.standing]
        share = self.passing(self.standing) / max(1, self.passing(threshold))
        return Stratum(held.count(False), len(held), share), Stratum(added.count(False), len(added), 1 - share)


def _loosest_from(window: _Window, start: int, alpha: float, level: float) -> tuple[float, int] | None:
    """Walk from the `start` surest reviewed tickets to looser thresholds; return the last that passes and its count."""
    found, count, reviewed = None, start, window.reviewed
    while count <= len(reviewed):
        threshold = reviewed[count - 1][0]
        while count < len(reviewed) and reviewed[count][0] == threshold:
            count += 1
        if strata_at_most(*window.strata(count, threshold), alpha, enough=level) > level:
            break
        found = (threshold, count)
        count = max(count + 5, int(count * _LADDER))
    return found


def certify(
    frozen: Sequence[Frozen], *, alpha: float, level: float, standing: float | None = None, test: int = 1
) -> Certificate | None:
    """Return the loosest threshold that passes at `level`, looser than `standing`; None where none does.

    Two walks share the level: from the smallest start that can pass, and from twice that, for when the few surest
    tickets hold an unlucky one.
    """
    reviewed = sorted(((f.score, f.correct) for f in frozen if f.correct is not None), key=lambda pair: -pair[0])
    window = _Window(reviewed, [f.score for f in frozen], _ANY if standing is None else standing)
    held = sum(score >= window.standing for score, _ in reviewed)
    start = smallest_start(alpha, level / _STARTS)
    starts = [max(start * 2**walk, int((held + 10) * 1.5**walk) if held else 0) for walk in range(_STARTS)]
    found = [f for s in starts if (f := _loosest_from(window, s, alpha, level / _STARTS)) is not None]
    if not found:
        return None
    threshold, count = min(found)
    errors = sum(not correct for _, correct in reviewed[:count])
    share = window.passing(threshold) / len(frozen)
    return Certificate(threshold, threshold, share, count, errors, share, test)


def _imagined(frozen: Sequence[Frozen]) -> list[Frozen]:
    """Return the window as it would look if exactly as many reviewed tickets were wrong as their scores say."""
    out, owed = [], 0.0
    for ticket in sorted(frozen, key=lambda f: -f.score):
        if ticket.correct is None:
            out.append(ticket)
            continue
        owed += 1 - ticket.score
        out.append(Frozen(ticket.score, owed < 1))
        owed -= owed >= 1
    return out


def in_window(tickets: Sequence[_T]) -> Sequence[_T]:
    """Return the tickets a certificate looks back on, of all of an epoch in the order they came."""
    return tickets[max(_IMMATURE, len(tickets) // 2) :][-WINDOW:]


def is_audited(ticket_id: str, rate: float, salt: str = "") -> bool:
    """Tell whether a ticket is in the blind audit: fixed by its id, so nobody can choose and no retry changes it."""
    digest = hashlib.sha256(f"{salt}:{ticket_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < rate * 2**64


@dataclass(slots=True)
class Gate:
    """The state of one decision's certificate; `dump` and `load` carry it in a database row.

    `epoch` counts alarms: reviews, tests and the window start again at each. `closed_because` keeps the last alarm's
    words until a new certificate stands.
    """

    terms: Terms = field(default_factory=Terms)
    salt: str = ""
    epoch: int = 0
    reviews: int = 0
    tests: int = 0
    next_test: int = 0
    certificate: Certificate | None = None
    closed_because: str = ""
    watch: Watch = field(default_factory=Watch)

    def __post_init__(self) -> None:
        self.next_test = self.next_test or self.terms.first_reviews

    def decide(self, ticket_id: str, score: float) -> Route:
        """Return where a ticket goes; `audit` looks like `human` to the reviewer, who must not see the suggestion."""
        if self.certificate is None or score < self.certificate.threshold:
            return "human"
        return "audit" if is_audited(ticket_id, self.terms.audit_rate, self.salt) else "auto"

    def review(
        self, frozen: Frozen, *, is_new_category: bool = False, passed: bool | None = None
    ) -> Literal["", "test", "alarm"]:
        """Take in one reviewed ticket, and say what the caller must do.

        `passed` tells whether it passed the gate when it was decided; where it is not given, the score is compared
        with the threshold of now, which is the same as long as reviews follow at once.
        `test`: call `run_test` with all tickets since the epoch began. `alarm`: the certificate is withdrawn; make the
        learner doubt and begin a new window.
        """
        self.reviews += 1
        if passed is None:
            passed = self.certificate is not None and frozen.score >= self.certificate.threshold
        self._hold_share(passed)
        if self.reviews > self.terms.first_reviews:
            self.watch.see(frozen.score, bool(frozen.correct), passed=passed, alpha=self.terms.alpha)
            if is_new_category:
                self.watch.see_new_category(self.reviews)
        if reason := self.watch.alarm():
            self._close(reason)
            return "alarm"
        return "test" if self.reviews >= self.next_test else ""

    def _close(self, reason: str) -> None:
        self.epoch, self.reviews, self.tests = self.epoch + 1, 0, 0
        self.next_test, self.certificate, self.watch = self.terms.first_reviews, None, Watch()
        self.closed_because = reason

    def run_test(self, window: Sequence[Frozen]) -> Certificate | None:
        """Spend the next part of delta on `window`, all tickets of this epoch in order; return what now stands.

        Test number n may be wrong with probability delta / (n (n + 1)): all tests of an epoch together, delta. Where
        the scores alone expect no gain, nothing is tested; that choice does not look at the labels.
        """
        self.next_test = math.ceil(self.reviews * self.terms.growth)
        seen = in_window(window)
        standing = self.certificate.threshold if self.certificate else None
        level = self.terms.delta / ((self.tests + 1) * (self.tests + 2))
        if self.certificate is not None:
            recent = [ticket.score >= self.certificate.threshold for ticket in seen[-_RECENT:]]
            self.certificate = replace(self.certificate, share=sum(recent) / max(1, len(recent)))
        hoped = certify(_imagined(seen), alpha=self.alpha, level=level, standing=standing)
        if hoped is None or hoped.share < self._worth_a_test():
            return self.certificate
        self.tests += 1
        found = certify(seen, alpha=self.alpha, level=level, standing=standing, test=self.tests)
        if found is not None:
            self.certificate, self.closed_because = found, ""
        return self.certificate

    def _hold_share(self, passed: bool) -> None:
        """Move the threshold a little, so that in the long run no larger share passes than was tested.

        An audited ticket stands for all that passed; at balance the moves of passing and held tickets cancel.
        """
        if self.certificate is None:
            return
        allowed = min(1.0, self.certificate.tested_share * _SHARE_SLACK)
        stands_for = 1 / self.terms.audit_rate if passed else 1.0
        moved = self.certificate.threshold + _SHARE_STEP * stands_for * (passed - allowed)
        threshold = min(1.0, max(self.certificate.tested_threshold, moved))
        self.certificate = replace(self.certificate, threshold=threshold)

    @property
    def alpha(self) -> float:
        """The error the next certificate, or the one that stands, promises."""
        return self.terms.alpha * (_AFTER_ALARM if self.epoch else 1.0)

    def _worth_a_test(self) -> float:
        """Return the share of tickets a test must be expected to let pass: more than stands, or a first harvest."""
        if self.certificate is not None:
            return _WORTH_A_TEST * self.certificate.share
        return _FIRST_SHARE if self.reviews < _PATIENCE else 0.0

    def words(self) -> str:
        """Return one plain sentence on where the certificate stands."""
        if self.certificate is not None:
            sure, passing = round(100 * (1 - self.terms.delta)), round(100 * self.certificate.share)
            return (
                f"certified: error at most {100 * self.alpha:g} % with {sure} % confidence, "
                f"from {self.certificate.reviews} reviews, {passing} % of tickets pass"
            )
        waiting = f"{self.reviews} of {self.terms.first_reviews} reviews until a certificate"
        if self.reviews >= self.terms.first_reviews:
            waiting = f"{self.reviews} of {self.next_test} reviews until a certificate is tried again, none shown yet"
        return f"closed by the alarm: {self.closed_because}; {waiting}" if self.closed_because else waiting

    def dump(self) -> str:
        """Return the state as JSON, under 1 KB."""
        return json.dumps(asdict(self) | {"terms": self.terms._asdict()})

    @classmethod
    def load(cls, text: str) -> "Gate":
        """Return the gate `dump` wrote."""
        state = json.loads(text)
        held = state["certificate"]
        state |= {"terms": Terms(**state["terms"]), "watch": Watch(**state["watch"])}
        return cls(**state | {"certificate": Certificate(**held) if held else None})
