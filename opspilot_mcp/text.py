"""Cleaning of strangers' text: what may be stored, and what may be shown.

Stored text keeps every letter a person could have typed; only what no human reads (control characters, Unicode
tags, bidi overrides) is taken out, because it steers terminals, logs and models. Joiners inside Persian, Hindi
and emoji stay: they are spelling there.
"""

import re
import unicodedata
from collections.abc import Callable

# C0 without tab and newline, DEL, C1.
_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
# Bidi embeddings, overrides and isolates reorder what is read; directional marks (200E, 200F, 061C) are spelling.
_BIDI = "\u202a-\u202e\u2066-\u2069"
# Zero-width space, word joiner, invisible operators, BOM, fillers; soft hyphen hides inside words.
_INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
)
# Tag characters and supplementary variation selectors carry hidden ASCII ("tag smuggling").
_TAGS = "\U000e0000-\U000e01ef"
_LONE_SURROGATES = "\ud800-\udfff"

_HIDDEN = re.compile(f"[{_CONTROL}{_BIDI}{_INVISIBLE}{_TAGS}{_LONE_SURROGATES}]")
# A command string (`ESC ]`) is taken out with what it holds only where it ends: else it would take the rest along.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]{0,2048}(?:\x07|\x1b\\)|[@-Z\\\]^_])")
_JOINER = re.compile("[\u200c\u200d]")
_SELECTOR = re.compile("[\ufe00-\ufe0f]")
_MARKS_IN_A_ROW = 8


def clean(text: str) -> str:
    """Return `text` without hidden characters, with `\\n` line ends; letters and their joiners are unchanged.

    Source: Unicode TR #36 and #39 on bidi, default-ignorable and tag characters.
    """
    if text.isascii() and "\r" not in text and not _HIDDEN.search(text):
        return text
    text = (
        text.replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("\x85", "\n")
        .replace("\u2028", "\n")
        .replace("\u2029", "\n")
    )
    text = _HIDDEN.sub("", _ANSI.sub("", text))
    text = _drop_stray(_JOINER, text, _may_join)
    return _calm_marks(_drop_stray(_SELECTOR, text, _may_select))


def one_line(text: str) -> str:
    """Return `clean(text)` with every run of white space made one blank: for subjects, names and titles."""
    return " ".join(clean(text).split())


def cap(text: str, limit: int) -> tuple[str, int]:
    """Return at most `limit` characters of `text` and how many were cut (0 when none)."""
    cut = max(0, len(text) - limit)
    return (text[:limit] if cut else text), cut


def _drop_stray(pattern: re.Pattern[str], text: str, belongs: Callable[[str, int], bool]) -> str:
    if not pattern.search(text):
        return text
    return pattern.sub(lambda m: m.group() if belongs(text, m.start()) else "", text)


def _may_join(text: str, at: int) -> bool:
    """Whether the joiner at `at` stands inside a script or an emoji that is spelt with it."""
    before = text[at - 1] if at else ""
    after = text[at + 1] if at + 1 < len(text) else ""
    if not before or before in "\u200c\u200d":
        return False
    if ord(before) >= 0x2190 and (unicodedata.category(before) in ("So", "Sk", "Mn") or before == "\ufe0f"):
        return bool(after) and ord(after) >= 0x2190  # emoji sequences: the next part is an emoji too
    return 0x0590 <= ord(before) <= 0x1CFF or 0xA800 <= ord(before) <= 0xABFF  # Arabic and Indic scripts


def _may_select(text: str, at: int) -> bool:
    """Whether a variation selector follows a visible symbol, a digit or a CJK sign, once."""
    before = text[at - 1] if at else ""
    return bool(before) and not _SELECTOR.match(before) and (before in "#*0123456789" or ord(before) >= 0xA9)


def _calm_marks(text: str) -> str:
    """Cut runs of combining marks no script needs: more than 8 on one letter."""
    if text.isascii():
        return text
    kept: list[str] = []
    run = 0
    for char in text:
        run = run + 1 if unicodedata.combining(char) else 0
        if run <= _MARKS_IN_A_ROW:
            kept.append(char)
    return "".join(kept)
