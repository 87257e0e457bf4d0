"""One pass over a ticket's own words; the rooms of triage take what they need from it."""

from functools import lru_cache
from typing import NamedTuple

from opspilot_mcp.desk.wording import Hit, Wording, find, fold, read_words, shorten, without_quotes
from opspilot_mcp.desk.words import SUBSTRINGS, all_phrases


class Scan(NamedTuple):
    """One pass over a text: words, the phrases found, and the clauses that only instruct a machine."""

    wording: Wording
    hits: tuple[Hit, ...]
    steering: frozenset[int]
    hidden: bool

    def clause(self, hit: Hit) -> int:
        """Return the clause a hit stands in."""
        return self.wording.words[hit.first].clause

    def plain(self) -> list[Hit]:
        """Return the hits outside passages that instruct a machine: those passages must not move a field."""
        return [hit for hit in self.hits if self.clause(hit) not in self.steering]

    def named(self, prefix: str) -> list[Hit]:
        """Return the plain hits whose kind starts with `prefix`."""
        return [hit for hit in self.plain() if hit.kind.startswith(prefix)]


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
    return Scan(wording, tuple(sorted(hits, key=lambda h: h.first)), frozenset(steering), hidden)


def scan(subject: str, body: str) -> Scan:
    """Read a ticket once; what the rooms of triage need of it is taken from the same pass.

    Only the writer's own text counts (no quotes), at most the length `shorten` leaves. The last few are remembered.
    """
    return _scan(subject[:500], without_quotes(shorten(body)))
