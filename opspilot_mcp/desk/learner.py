"""The category learner: what this desk's own people decided, learnt one correction at a time.

Softmax regression on hashed words and word pairs, with AdaGrad steps. Each hash owns one packed row (how many tickets
had it, and a weight per category), so scoring a ticket reads only the rows of its own words, nothing is loaded at
start, and a correction counts from the next ticket on. Measured against scikit-learn's TF-IDF + logistic regression
in `benchmarks/triage.py`.
"""

import json
import math
import re
import struct
import zlib
from array import array
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from opspilot_mcp.desk.wording import fold, word_set

# Changes when features or steps change: weights and certificates of another version do not apply.
VERSION = "hashed-softmax-1"

MOST_WORDS = 400
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
# Scripts that set no blanks between words are cut into pairs of letters.
_UNSPACED = re.compile("[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_FUNCTION_WORDS = word_set(
    "a about all also am an and any are as at be because been being but by can could did do does for from get got had "
    "has have he hello her hi him his how i if in into is it its just me my not of on or our out she so some than that "
    "the their them then there these they this those to too up us very was we were what when which who will with would "
    "you your dear thanks thank regards kind best please "
    "der die das den dem des ein eine einen und oder ist sind im in auf zu mit fur von wir ich sie es "
    "le la les un une des de du et ou est sont en au aux nous vous je pour avec "
    "el los las una y o es son del por para con nosotros yo"
)
_ENDINGS = ("ations", "ation", "ments", "ment", "ings", "ing", "edly", "ed", "ies", "es", "s", "ly")
_SHORTEST_STEM = 4

# A large first denominator keeps rare words from jumping to full size on one sight; 1e-2 instead of 1 costs
# 0.02 of accuracy on the Endava tickets. Figures in docs/triage.md.
_FIRST_GRAD = 1.0
_RATE = 2.0
_FIT_RATE = 3.0
_BIAS_SHARE = 0.3
_TIMES_POWER = 0.8
_IDF_POWER = 0.5
_SMALLEST_STEP = 1e-3
_EPOCHS = 6
_STEPS = 30_000  # a fit on many tickets needs fewer passes; below 5,000 tickets it is always six
_DECAY = 0.8
# What stays of the weights after an alarm: enough to recover from a false one, little enough to be outvoted soon.
_KEPT_AFTER_ALARM = 0.25

NEIGHBOUR_SHARE = 0.15
_NEIGHBOUR_FLOOR = 0.02

Counts = dict[int, float]


@dataclass(slots=True)
class Row:
    """What is known of one hash: `df` tickets had it; a weight and a sum of squared gradients per category.

    `epoch` is the head's when the row was last taught: a row from before an alarm speaks more quietly.
    """

    df: int = 0
    epoch: int = 0
    weights: list[float] = field(default_factory=list)
    grads: list[float] = field(default_factory=list)

    def pack(self) -> bytes:
        """Return the row as bytes: df and epoch, then single-precision weights, then gradients."""
        return struct.pack("<II", self.df, self.epoch) + array("f", self.weights + self.grads).tobytes()

    @classmethod
    def unpack(cls, packed: bytes) -> "Row":
        """Return the row that `pack` wrote. Raises ValueError for anything else."""
        if not packed or len(packed) % 8:
            raise ValueError(f"a packed row has 8 bytes and 8 more a category, not {len(packed)}")
        numbers = array("f", packed[8:])
        half = len(numbers) // 2
        df, epoch = struct.unpack("<II", packed[:8])
        return cls(df, epoch, list(numbers[:half]), list(numbers[half:]))

    def loudness(self, epoch: int) -> float:
        """Return what part of the weights still counts in this epoch."""
        return _KEPT_AFTER_ALARM ** max(0, epoch - self.epoch)

    def catch_up(self, head: "Head") -> None:
        """Bring the row to the head's epoch, and give it a place for categories that came after it was written."""
        if self.epoch < head.epoch:
            self.weights = [weight * self.loudness(head.epoch) for weight in self.weights]
            self.grads = [_FIRST_GRAD] * len(self.grads)
        self.epoch = head.epoch
        missing = len(head.categories) - len(self.weights)
        if missing > 0:
            self.weights += [0.0] * missing
            self.grads += [_FIRST_GRAD] * missing


@dataclass(slots=True)
class Head:
    """What all rows share: tickets seen, alarms so far, the categories in the order they were learnt, a bias each."""

    seen: int = 0
    epoch: int = 0
    categories: list[str] = field(default_factory=list)
    bias: list[float] = field(default_factory=list)
    bias_grads: list[float] = field(default_factory=list)

    def dump(self) -> str:
        """Return the head as JSON."""
        return json.dumps([VERSION, self.seen, self.epoch, self.categories, self.bias, self.bias_grads])

    @classmethod
    def load(cls, text: str) -> "Head":
        """Return the head `dump` wrote; an empty one where another version wrote it, whose rows must go too."""
        version, *rest = json.loads(text)
        return cls(*rest) if version == VERSION else cls()

    def place(self, category: str) -> int:
        """Return the place of a category, added at the end where it is new."""
        if category not in self.categories:
            self.categories.append(category)
            self.bias.append(0.0)
            self.bias_grads.append(_FIRST_GRAD)
        return self.categories.index(category)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            return word[: -len(ending)]
    return word


def terms_of(text: str) -> list[str]:
    """Return the stemmed content words of a text, at most `MOST_WORDS`."""
    terms: list[str] = []
    for match in _WORD.finditer(fold(text[: MOST_WORDS * 20])):
        word = match.group()
        if _UNSPACED.search(word):
            terms.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
        elif word not in _FUNCTION_WORDS:
            terms.append(_stem(word))
        if len(terms) >= MOST_WORDS:
            break
    return terms[:MOST_WORDS]


def words_of(text: str) -> list[str]:
    """Return the folded content words of a text, not stemmed, for a full-text query."""
    found = (match.group() for match in _WORD.finditer(fold(text[: MOST_WORDS * 20])))
    return [word for word in found if word not in _FUNCTION_WORDS and len(word) > 1][:MOST_WORDS]


def counts_of(subject: str, body: str) -> Counts:
    """Return the hashed features of a ticket and how often each occurs, damped.

    Words of the subject count once more by themselves: they tell more than the same words in a long body.
    """
    head, terms = terms_of(subject), terms_of(f"{subject}\n{body}")
    names = [*terms, *(f"{a} {b}" for a, b in pairwise(terms)), *(f"subject:{term}" for term in head)]
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return {zlib.crc32(name.encode()): times**_TIMES_POWER for name, times in found.items()}


def _weighted(head: Head, rows: Mapping[int, Row], counts: Counts) -> list[tuple[int, float]]:
    """Return hash and value of the hashes seen before: rarer is stronger, together at unit length.

    A word never seen says nothing either way; letting it take its part of the length costs 0.005 of accuracy.
    """
    values = []
    for key, count in counts.items():
        row = rows.get(key)
        if row is not None and row.df:
            rarity = math.log((1 + head.seen) / (1 + row.df)) + 1
            values.append((key, count * rarity**_IDF_POWER))
    length = math.sqrt(sum(value * value for _, value in values)) or 1.0
    return [(key, value / length) for key, value in values]


def _softmax(logits: list[float]) -> list[float]:
    top = max(logits)
    powers = [math.exp(logit - top) for logit in logits]
    total = sum(powers)
    return [power / total for power in powers]


def _chances(
    head: Head, rows: Mapping[int, Row], values: list[tuple[int, float]], *, familiarity: float = 1.0
) -> list[float]:
    logits = list(head.bias)
    for key, value in values:
        row = rows.get(key)
        if row is not None:
            value *= row.loudness(head.epoch) if row.epoch < head.epoch else 1.0
            for place, weight in enumerate(row.weights):
                logits[place] += weight * value
    return _softmax([logit * familiarity for logit in logits])


def probabilities(head: Head, rows: Mapping[int, Row], counts: Counts) -> dict[str, float]:
    """Return the probability of each learnt category; empty before the first label.

    `rows` needs only the rows of the hashes in `counts`; a hash without one was never seen.
    """
    if not head.categories:
        return {}
    values = _weighted(head, rows, counts)
    # The fewer of its words were ever seen, the less sure a guess: it is how a ticket about something new looks.
    familiarity = math.sqrt(len(values) / max(1, len(counts)))
    chances = _chances(head, rows, values, familiarity=familiarity)
    return dict(zip(head.categories, chances, strict=True))


def _step(head: Head, rows: Mapping[int, Row], values: list[tuple[int, float]], place: int, rate: float) -> None:
    """Move the weights of one ticket's rows one AdaGrad step towards the category at `place`."""
    for at, chance in enumerate(_chances(head, rows, values)):
        miss = chance - (at == place)
        if abs(miss) < _SMALLEST_STEP:
            continue
        head.bias_grads[at] += miss * miss
        head.bias[at] -= rate * _BIAS_SHARE * miss / math.sqrt(head.bias_grads[at])
        for key, value in values:
            row, gradient = rows[key], miss * value
            row.grads[at] += gradient * gradient
            row.weights[at] -= rate * gradient / math.sqrt(row.grads[at])


def note(head: Head, rows: MutableMapping[int, Row], counts: Counts) -> None:
    """Count a ticket's words as seen once more, adding the rows that are missing."""
    head.seen += 1
    for key in counts:
        rows.setdefault(key, Row(epoch=head.epoch)).df += 1


def learn(
    head: Head,
    rows: MutableMapping[int, Row],
    counts: Counts,
    category: str,
    *,
    is_new: bool = True,
    rate: float = _RATE,
) -> None:
    """Learn that a ticket with these features belongs to `category`; changes `head` and the rows of `counts`.

    `is_new` is False when an old label is rehearsed: its words were counted when it came.
    """
    place = head.place(category)
    if is_new:
        note(head, rows, counts)
    for key in counts:
        rows.setdefault(key, Row(epoch=head.epoch)).catch_up(head)
    _step(head, rows, _weighted(head, rows, counts), place, rate)


def fit(examples: Sequence[tuple[Counts, str]], *, seed: int = 0) -> tuple[Head, dict[int, Row]]:
    """Return a learner taught all examples at once, in several passes with shrinking steps."""
    head, rows = Head(), dict[int, Row]()
    for counts, category in examples:
        head.place(category)
        note(head, rows, counts)
    for row in rows.values():
        row.catch_up(head)
    ready = [(_weighted(head, rows, counts), head.place(category)) for counts, category in examples]
    rate, order = _FIT_RATE, Random(seed)  # noqa: S311  # the order of a fit is no secret
    for _ in range(max(2, min(_EPOCHS, _STEPS // max(1, len(ready))))):
        order.shuffle(ready)
        for values, place in ready:
            _step(head, rows, values, place, rate)
        rate *= _DECAY
    return head, rows


def doubt(head: Head) -> None:
    """Make the learner quick to learn again, after an alarm said that labels no longer mean what they did.

    Rows follow when they are next taught; until then they count for less.
    """
    head.epoch += 1
    head.bias = [bias * _KEPT_AFTER_ALARM for bias in head.bias]
    head.bias_grads = [_FIRST_GRAD] * len(head.bias_grads)


def vote(neighbours: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the share of each category among resolved tickets given as category and closeness (higher is nearer).

    Shares add to less than 1: few or far neighbours leave doubt.
    """
    found = list(neighbours)
    if not found:
        return {}
    nearest = max(max(closeness for _, closeness in found), 1e-9)
    votes: dict[str, float] = {}
    for category, closeness in found:
        votes[category] = votes.get(category, 0.0) + (max(closeness, 0.0) / nearest) ** 2
    total = sum(votes.values()) + 1.0
    return {category: weight / total for category, weight in votes.items()}


def fuse(chances: Mapping[str, float], neighbours: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the learner's probabilities moved by the vote of the nearest resolved tickets (a weighted product)."""
    votes = vote(neighbours)
    if not chances or not votes:
        return dict(chances)
    mixed = {
        category: chance ** (1 - NEIGHBOUR_SHARE) * (votes.get(category, 0.0) + _NEIGHBOUR_FLOOR) ** NEIGHBOUR_SHARE
        for category, chance in chances.items()
    }
    total = sum(mixed.values()) or 1.0
    return {category: weight / total for category, weight in mixed.items()}


def best(chances: Mapping[str, float]) -> tuple[str | None, float]:
    """Return the likeliest category and its probability; (None, 0.0) where none is known. Ties go by name."""
    if not chances:
        return None, 0.0
    category = max(sorted(chances), key=lambda name: chances[name])
    return category, min(1.0, chances[category])
