"""One pass over a ticket's own words; the rooms of triage take what they need from it."""

from functools import lru_cache
from typing import NamedTuple

from opspilot_mcp.desk.wording import Hit, Wording, find, fold, read_words, shorten, without_quotes, word_set
from opspilot_mcp.desk.words import SUBSTRINGS, all_phrases

CRITICAL = ("security", "outage", "data_loss")

_MODAL_OPENERS = word_set(
    "will would could can should may how what if werden wird kann konnen konnte wie was falls sera seront pourrait "
    "comment que podria podrian puede pueden como seria"
)
# A word that asks without a question mark; the other openers are statements as often as not.
_ASKING = ("wonder", "question", "curious", "clarif", "frage", "pregunta", "consulta", "duda", "confirm", "quick")
_HOW = frozenset(("how", "wie", "comment", "como", "pwede", "paano", "magkano"))


class Scan(NamedTuple):
    """One pass over a text: words, the phrases found, and the clauses that only instruct a machine."""

    wording: Wording
    hits: tuple[Hit, ...]
    steering: frozenset[int]
    hidden: bool

    def clause(self, hit: Hit) -> int:
        """Return the clause a hit stands in."""
        return self.wording.words[hit.first].clause

    def asks(self, hit: Hit) -> bool:
        """Tell whether a `question` hit asks: its clause ends in a question mark, or its words can only ask."""
        first = self.wording.words[hit.first].text
        return self.clause(hit) in self.wording.questions or first in _HOW or first.startswith(_ASKING)

    def plain(self) -> list[Hit]:
        """Return the hits outside passages that instruct a machine: those passages must not move a field."""
        return [hit for hit in self.hits if self.clause(hit) not in self.steering]

    def named(self, prefix: str) -> list[Hit]:
        """Return the plain hits whose kind starts with `prefix`."""
        return [hit for hit in self.plain() if hit.kind.startswith(prefix)]

    def _is_asked_only(self, hit: Hit) -> bool:
        """Tell whether the hit stands in a question about what may be ("will our data be lost?")."""
        words = self.wording.words
        clause, part = words[hit.first].clause, words[hit.first].part
        if clause not in self.wording.questions:
            return False
        first = next(i for i in range(hit.first, -1, -1) if i == 0 or words[i - 1].part != part)
        return any(words[i].text in _MODAL_OPENERS for i in range(first, min(first + 2, hit.first + 1)))

    def _is_over(self, hit: Hit) -> bool:
        """Tell whether the text says, there or later, that it works again."""
        clause = self.clause(hit)
        return any(h.kind == "recovered" and not h.negated and self.clause(h) >= clause for h in self.hits)

    def _is_one_function(self, hit: Hit) -> bool:
        """Tell whether only a part is down: "the payments page is down for all clients" is not the whole service."""
        return any(h.kind == "component_down" and h.first <= hit.last and hit.first <= h.last for h in self.hits)

    def states(self, hit: Hit) -> bool:
        """Tell whether a hit is stated as a present fact: not denied and, if critical, not asked, supposed or over."""
        if hit.negated or hit.kind not in CRITICAL:
            return not hit.negated
        clause = self.clause(hit)
        supposed = (h for h in self.hits if h.kind == "hypothetical" and h.first <= hit.first)
        if self._is_asked_only(hit) or any(self.clause(h) == clause for h in supposed):
            return False
        return hit.kind != "outage" or not (self._is_one_function(hit) or self._is_over(hit))

    def kinds(self) -> set[str]:
        """Return the kinds stated outside steering passages."""
        return {hit.kind for hit in self.plain() if self.states(hit)}


def _without_comments(text: str) -> tuple[str, bool]:
    """Take out HTML comments, which no reader of a ticket sees; True where there was one."""
    kept, at = [], 0
    while (start := text.find("<!--", at)) >= 0:
        end = text.find("-->", start + 4)
        kept.append(text[at:start])
        if end < 0:
            return " ".join(kept), True
        at = end + 3
    return " ".join([*kept, text[at:]]), at > 0


def _letters(text: str) -> list[tuple[str, int]]:
    """Return the kinds whose substring stands in a text without blanks between words, with its offset."""
    if text.isascii():
        return []
    return [(kind, at) for kind, options in SUBSTRINGS.items() for option in options if (at := text.find(option)) >= 0]


def _word_at(wording: Wording, offset: int) -> int:
    """Return the word an offset lies in, or the last one before it."""
    found = 0
    for index, word in enumerate(wording.words):
        if word.start > offset:
            break
        found = index
    return found


@lru_cache(maxsize=16)
def _scan(subject: str, body: str) -> Scan:
    text, hidden = _without_comments(body)
    wording = read_words(f"{subject}\n\n{text}")
    hits = find(wording, all_phrases())
    if wording.words:
        folded = fold(wording.text)
        for kind, offset in _letters(folded):
            place = _word_at(wording, offset)
            hits.append(Hit(kind, place, place, False))
    steering = {wording.words[h.first].clause for h in hits if h.kind == "instructions_to_ai" and not h.negated}
    seen = Scan(wording, tuple(sorted(hits, key=lambda h: h.first)), frozenset(steering), hidden)
    return seen._replace(hits=tuple(h for h in seen.hits if h.kind != "question" or seen.asks(h)))


def scan(subject: str, body: str) -> Scan:
    """Read a ticket once; what the rooms of triage need of it is taken from the same pass.

    Only the writer's own text counts (no quotes), at most the length `shorten` leaves. The last few are remembered.
    """
    return _scan(subject[:500], without_quotes(shorten(body)))
