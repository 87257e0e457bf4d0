"""Find phrases in a stranger's text, in time linear in its length.

A phrase is written in a small notation and matched word by word, never by a regular expression over the whole text:
a hostile ticket cannot make the matcher backtrack, and one pass serves every vocabulary. The notation:

    site            this word, after folding case and accents
    fail*           a word that starts so
    (a|b*|c d)      one of these
    word?           may be missing (also after a group)
    ~3              up to three other words may stand here
    {name}          a named group, see `compile_phrases`
    #               a number
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple


def word_set(words: str) -> frozenset[str]:
    """Return the words of a line as a set."""
    return frozenset(words.split())


# A person does not read further either; what is cut is the middle, as signatures and quotes stand at the end.
HEAD_CHARS = 16_000
TAIL_CHARS = 4_000

_LONGEST_WORD = 40
# Repeating a phrase adds nothing but work.
MOST_HITS = 40
_TOKEN = re.compile(
    r"\d+(?:[.,:]\d+)+|[^\W_]+(?:'[^\W_]+)*"
    # A blank line, or the line before a list item, ends a clause; a mail program's line wrap does not.
    r"|\n[ \t\r]*(?=[-*\n\u2022]|\d{1,2}[.)])|[.!?;:\u2026\u3002\uff01\uff1f,()\u00bf\u00a1]"
)
_NOT_CONTRACTED = {"can't": ("cannot",), "cant": ("cannot",), "won't": ("will", "not"), "shan't": ("shall", "not")}
_GROUP = re.compile(r"\(([^()]*)\)")
_HARD_STOPS = frozenset(".!?;:\u2026\u3002\uff01\uff1f\u00bf\u00a1")
_CONTRAST = word_set("but however although though aber jedoch sondern mais cependant pero sino aunque")
_NEGATORS = word_set(
    "not no never without neither nor none nicht kein keine keinen keinem keiner keinerlei nie niemals ohne weder "
    "pas sans aucun aucune jamais ni sin ningun ninguna ninguno nunca jamas tampoco"
)
# After these the negator belongs to them: "no idea why the site is down" states that it is down.
_NOT_NEGATING = word_set(
    "idea clue sure only know understand reason doubt warning matter one answer reply response wonder joke sicher "
    "ahnung nur weiss wissen antwort zweifel sais sur seulement idee reponse doute solo se duda respuesta"
)
_NEGATION_REACH = 3
# Who is affected stands after the verb: in "search does not work for all users" the verb is denied, not the users.
_DENIED_ONLY_NEXT = frozenset({"affected"})


class Word(NamedTuple):
    """One folded word; `start` and `end` are offsets in the text it came from."""

    text: str
    start: int
    end: int
    clause: int
    part: int


class Wording(NamedTuple):
    """A text cut into words; `questions` holds the clauses that end in a question mark."""

    text: str
    words: tuple[Word, ...]
    questions: frozenset[int]


class Hit(NamedTuple):
    """Where a phrase of `kind` stands: words `first` to `last`, both included."""

    kind: str
    first: int
    last: int
    negated: bool


class _Step(NamedTuple):
    exact: frozenset[str]
    prefixes: tuple[str, ...]
    number: bool
    optional: bool
    gap: int


class _Phrase(NamedTuple):
    kind: str
    steps: tuple[_Step, ...]


class Phrases(NamedTuple):
    """Compiled phrases, found by the first word they may start with."""

    exact: dict[str, list[_Phrase]]
    prefixes: dict[str, list[_Phrase]]
    lengths: tuple[int, ...]
    numbered: list[_Phrase]


def _folding_table() -> dict[int, str]:
    """Map each accented or full-width letter to one plain lower-case letter, so that offsets stay true."""
    points = [*range(0x41, 0x5B), *range(0xC0, 0x250), *range(0x1E00, 0x1F00), *range(0xFF01, 0xFF5F)]
    table = {}
    for point in points:
        plain = unicodedata.normalize("NFKD", chr(point))[0].lower()
        table[point] = plain if len(plain) == 1 else chr(point)
    table |= {
        0x2019: "'",
        0x2018: "'",
        0x02BC: "'",
        0x60: "'",
        0xB4: "'",
        0xDF: "s",
        0xE6: "a",
        0xF8: "o",
        0x142: "l",
        0x131: "i",
        0xA0: " ",
    }
    return table


_FOLD = _folding_table()


def fold(text: str) -> str:
    """Return `text` in plain lower-case letters, same length, so that offsets in one hold in the other."""
    return text.translate(_FOLD)


def shorten(text: str) -> str:
    """Return at most `HEAD_CHARS` of the start and `TAIL_CHARS` of the end."""
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return text[:HEAD_CHARS] + "\n\n" + text[-TAIL_CHARS:]


def _split_word(text: str) -> tuple[str, ...]:
    """Open contractions and elisions: don't -> do not, l'acces -> l acces."""
    if "'" not in text:
        return _NOT_CONTRACTED.get(text, (text,))
    if text in _NOT_CONTRACTED:
        return _NOT_CONTRACTED[text]
    if text.endswith("n't"):
        return (text[:-3], "not")
    return tuple(part for part in text.split("'") if part)


def read_words(text: str) -> Wording:
    """Cut a text into words with their clause and part of clause; texts past the limits are shortened first."""
    text = shorten(text)
    words: list[Word] = []
    questions: set[int] = set()
    clause = part = 0
    for match in _TOKEN.finditer(fold(text)):
        piece = match.group()
        if piece[0] == "\n" or piece in _HARD_STOPS:
            if piece in "?\uff1f":
                questions.add(clause)
            clause, part = clause + 1, part + 1
        elif piece in ",()":
            part += 1
        else:
            part += piece in _CONTRAST
            words.extend(Word(w[:_LONGEST_WORD], *match.span(), clause, part) for w in _split_word(piece))
    return Wording(text, tuple(words), frozenset(questions))


@lru_cache(maxsize=4096)
def _step(item: str, gap: int) -> _Step:
    if item.count("(") != item.startswith("(") or item.count(")") != item.count("("):
        raise ValueError(f"brackets do not fit in {item!r}")
    optional = item.endswith("?")
    options = item.rstrip("?").strip("()").split("|")
    exact = frozenset(fold(o) for o in options if not o.endswith("*") and o != "#")
    prefixes = tuple(fold(o[:-1]) for o in options if o.endswith("*"))
    return _Step(exact, prefixes, "#" in options, optional, gap)


def _variants(phrase: str) -> list[str]:
    """Return the phrase once for each group option of more than one word, and once with the single words."""
    group = next((g for g in _GROUP.finditer(phrase) if " " in g.group()), None)
    if group is None:
        return [phrase]
    options = group.group(1).split("|")
    single = "|".join(o for o in options if " " not in o)
    chosen = [o for o in options if " " in o] + ([f"({single})"] if single else [])
    head, tail = phrase[: group.start()], phrase[group.end() :]
    return [variant for option in chosen for variant in _variants(head + option + tail)]


def _compile(kind: str, phrase: str, groups: Mapping[str, str]) -> _Phrase:
    for name, words in groups.items() if "{" in phrase else ():
        phrase = phrase.replace("{" + name + "}", "(" + "|".join(words.split()) + ")")
    steps: list[_Step] = []
    gap = 0
    for item in phrase.split():
        if item.startswith("~"):
            gap = int(item[1:])
            continue
        steps.append(_step(item, gap))
        gap = 0
    if not steps or steps[0].optional or gap:
        raise ValueError(f"phrase {phrase!r} of {kind!r} must start and end with a word")
    return _Phrase(kind, tuple(steps))


def compile_phrases(vocabulary: Mapping[str, Iterable[str]], groups: Mapping[str, str]) -> Phrases:
    """Return the phrases of each kind, ready to be found; `groups` gives the words behind each {name}.

    Raises ValueError for a phrase that cannot be read.
    """
    exact: dict[str, list[_Phrase]] = {}
    prefixes: dict[str, list[_Phrase]] = {}
    numbered: list[_Phrase] = []
    for kind, texts in vocabulary.items():
        for text in (variant for phrase in texts for variant in _variants(phrase)):
            phrase = _compile(kind, text, groups)
            for word in phrase.steps[0].exact:
                exact.setdefault(word, []).append(phrase)
            for prefix in phrase.steps[0].prefixes:
                prefixes.setdefault(prefix, []).append(phrase)
            if phrase.steps[0].number:
                numbered.append(phrase)
    return Phrases(exact, prefixes, tuple(sorted({len(p) for p in prefixes})), numbered)


def join_phrases(parts: Iterable[Phrases]) -> Phrases:
    """Return one set that finds what each of `parts` finds."""
    exact: dict[str, list[_Phrase]] = {}
    prefixes: dict[str, list[_Phrase]] = {}
    numbered: list[_Phrase] = []
    for part in parts:
        for word, phrases in part.exact.items():
            exact.setdefault(word, []).extend(phrases)
        for prefix, phrases in part.prefixes.items():
            prefixes.setdefault(prefix, []).extend(phrases)
        numbered.extend(part.numbered)
    return Phrases(exact, prefixes, tuple(sorted({len(p) for p in prefixes})), numbered)


def _fits(step: _Step, word: str) -> bool:
    return word in step.exact or word.startswith(step.prefixes) or (step.number and word[0].isdigit())


def _match(steps: tuple[_Step, ...], words: tuple[Word, ...], at: int, clause: int) -> list[int] | None:
    """Return the places of the words that `steps` take from `at` on, within one clause, or None.

    The nearest fit of each step is taken; there is no backtracking, hence the linear time.
    """
    places: list[int] = []
    for step in steps:
        reach = min(at + step.gap + 1, len(words))
        found = next((i for i in range(at, reach) if words[i].clause == clause and _fits(step, words[i].text)), None)
        if found is not None:
            places.append(found)
            at = found + 1
        elif not step.optional:
            return None
    return places


def _denies(words: tuple[Word, ...], at: int) -> bool:
    """Tell whether the word at `at` is a negator that denies what follows it."""
    if words[at].text not in _NEGATORS:
        return False
    following = words[at + 1].text if at + 1 < len(words) else ""
    return following not in _NOT_NEGATING


def _is_negated(words: tuple[Word, ...], places: list[int], *, reach: int) -> bool:
    """Tell whether a negator stands shortly before the phrase, or in a gap inside it."""
    first = places[0]
    before = range(max(0, first - reach), first)
    inside = (i for i in range(first, places[-1]) if i not in places)
    return any(words[i].part == words[first].part and _denies(words, i) for i in (*before, *inside))


def _candidates(phrases: Phrases, word: str) -> list[_Phrase]:
    found = list(phrases.exact.get(word, ()))
    for length in phrases.lengths:
        if length <= len(word):
            found.extend(phrases.prefixes.get(word[:length], ()))
    return found + phrases.numbered if word[0].isdigit() else found


def find(wording: Wording, phrases: Phrases) -> list[Hit]:
    """Return the phrases that stand in the text, in order, at most `MOST_HITS` of a kind."""
    hits: list[Hit] = []
    counts: dict[str, int] = {}
    for at, word in enumerate(wording.words):
        for phrase in _candidates(phrases, word.text):
            if counts.get(phrase.kind, 0) >= MOST_HITS:
                continue
            places = _match(phrase.steps, wording.words, at, word.clause)
            if places:
                counts[phrase.kind] = counts.get(phrase.kind, 0) + 1
                reach = 1 if phrase.kind in _DENIED_ONLY_NEXT else _NEGATION_REACH
                is_negated = _is_negated(wording.words, places, reach=reach)
                hits.append(Hit(phrase.kind, places[0], places[-1], is_negated))
    return hits


def words_of(wording: Wording, hit: Hit) -> str:
    """Return the text a hit stands on, as the writer wrote it."""
    return wording.text[wording.words[hit.first].start : wording.words[hit.last].end]


_QUOTE_HEADS = re.compile(
    r"(?:on|am|le|el|em|il|op)\b[^\n]{4,120}\b"
    r"(?:wrote|schrieb|a ecrit|escribio|escreveu|ha scritto|schreef)[^\n]{0,60}:\s*$"
    r"|-{2,}\s*(?:original message|ursprungliche nachricht|message d'origine|mensaje original|forwarded message)\b"
)


@lru_cache(maxsize=16)
def without_quotes(body: str) -> str:
    """Return what the writer wrote: no `>` lines, nothing below "On ... wrote:"; all of it if nothing would be left."""
    kept = []
    for line in shorten(body).split("\n"):
        bare = line.strip()
        if _QUOTE_HEADS.match(fold(bare[:240])):
            break
        if not bare.startswith(">"):
            kept.append(line)
    own = "\n".join(kept)
    return own if len(own.split()) >= 3 else shorten(body)
