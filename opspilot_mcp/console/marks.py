"""Makes visible, in a text a person is about to sign, what a browser would show as nothing or as something else.

Every character of the text comes out in one segment or another: nothing is dropped, nothing is cut.
"""

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

from opspilot_mcp.gate import links

_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n){4,}")
_WIDE_GAP = re.compile(r"[ \t]{16,}")
_JOINERS = "\u200c\u200d"
_SELECTORS = re.compile("[\ufe00-\ufe0f]")
# Letters by category, yet drawn as nothing.
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
_PLAIN, _GAP, _MIXED, _LINK, _HIDDEN = range(5)
_KINDS = ("plain", "gap", "mixed", "link", "hidden")


class Segment(NamedTuple):
    """A run of text drawn alike. `note` is what is written in its place or beside it, in our words."""

    kind: str
    text: str
    note: str = ""


def segments(text: str) -> list[Segment]:
    """Return `text` cut into runs: plain, link, mixed (scripts), gap (wide or tall), hidden (one character)."""
    paint = bytearray(len(text))
    for pattern in (_BLANK_LINES, _WIDE_GAP):
        for match in pattern.finditer(text):
            _fill(paint, match.start(), match.end(), _GAP)
    _paint_words(paint, text, links.mixed_words(text, limit=len(text)), _MIXED)
    _paint_words(paint, text, (link.written for link in links.find(text)), _LINK)
    if not text.isascii() or not text.isprintable():
        for at, char in enumerate(text):
            if _is_hidden(text, at, char):
                paint[at] = _HIDDEN
    return list(_runs(text, paint))


def _fill(paint: bytearray, start: int, end: int, kind: int) -> None:
    paint[start:end] = bytes([kind]) * (end - start)


def _paint_words(paint: bytearray, text: str, words: Iterable[str], kind: int) -> None:
    for word in words:
        at = text.find(word) if word else -1
        while at >= 0:
            _fill(paint, at, at + len(word), kind)
            at = text.find(word, at + len(word))


def _is_hidden(text: str, at: int, char: str) -> bool:
    """Whether a reader would not see this character, or would see another thing than it is."""
    if char in "\n\t " or "!" <= char <= "~":
        return False
    if char in _JOINERS or _SELECTORS.match(char):
        return _is_stray(text, at)
    return unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp", "Zs") or char in _FILLERS


def _is_stray(text: str, at: int) -> bool:
    """Whether a joiner or variation selector stands where no script or emoji is spelt with it."""
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if _SELECTORS.match(text[at]):
        is_plain = before.isspace() or (before.isalpha() and before.isascii())
        return not before or is_plain or bool(_SELECTORS.match(before))
    return not before or not after or before.isascii() or after.isascii()


def _runs(text: str, paint: bytearray) -> Iterable[Segment]:
    start = 0
    for at in range(1, len(text) + 1):
        ends = at == len(text) or paint[at] != paint[start] or paint[start] == _HIDDEN
        if ends:
            yield _segment(_KINDS[paint[start]], text[start:at])
            start = at


def _segment(kind: str, run: str) -> Segment:
    if kind == "hidden":
        return Segment(kind, run, _named(run))
    if kind == "gap":
        lines = run.count("\n") - 1
        return Segment(kind, run, f"{lines} empty lines" if lines > 0 else f"{len(run)} blanks")
    return Segment(kind, run)


def _named(char: str) -> str:
    name = unicodedata.name(char, "")
    return f"U+{ord(char):04X}{' ' + name.lower() if name else ''}"


def lines(difference: Iterable[str]) -> list[tuple[str, list[Segment]]]:
    """Return the lines of a unified diff as (same, gone, new or head; segments)."""
    kinds = {"-": "gone", "+": "new", "@": "head"}
    out = []
    for at, line in enumerate(difference):
        kind = "head" if at < 2 else kinds.get(line[:1], "same")
        out.append((kind, segments(line if kind == "head" else line[1:])))
    return out
