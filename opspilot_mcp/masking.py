"""What a language model reads of a text: card, account and social security numbers, keys and passwords are masked.

A number is masked by its own proof (Luhn, mod 97, a valid range), not by its looks, so that order numbers, phones,
tracking numbers, timestamps and hashes stay. A mask keeps the kind, and the last four digits where people name them
by those. Only what is sent to a model is masked; the ticket stays as it was written.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from opspilot_mcp import keyshapes

_DIGITS = range(13, 20)
_BLANK = r"[ \t\n\u00a0\u2007\u2009\u202f\u2010-\u2015-]"
_RUN = re.compile(rf"(?<![\w+.])\d+(?:{_BLANK}\d+)*(?!\w)")
_GROUP = re.compile(r"\d+")
# How cards are written: in fours, whatever is left at the end; American Express and Diners also as they are printed.
_PRINTED = frozenset({(4, 6, 5), (4, 6, 4), *((4, 4, 4, *rest) for rest in ((2,), (3,), (4,), (4, 1), (4, 2), (4, 3)))})
# First digits and lengths in use. Source: ISO/IEC 7812 and the networks' published number ranges.
_ISSUED = (
    (re.compile(r"4"), frozenset({13, 16, 19})),
    (re.compile(r"5[1-5]|2(?:2[3-9]|[3-6]|70|71|720|22[1-9])|220[0-5]|508"), frozenset({16})),
    (re.compile(r"3[47]"), frozenset({15})),
    (re.compile(r"3[0689]"), frozenset({14, 16})),
    (re.compile(r"35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),
    (re.compile(r"6(?:0|2|4[4-9]|5)|8[12]"), frozenset({16, 17, 18, 19})),
    (re.compile(r"50|5[678]|6[0379]"), frozenset({16, 18, 19})),
)
# What holds digits in such groups and is no card: a UUID, a parcel of the United States Postal Service.
_NO_CARD = re.compile(
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|9[1-5]\d\d(?:[ ]?\d{4}){4}(?:[ ]?\d\d)?)"
    r"(?![0-9A-Za-z])"
)
_SEPARATOR = re.compile(_BLANK)
_IBAN = re.compile(r"(?<![0-9A-Za-z])[A-Za-z]{2}\d{2}(?=[ \u00a0-]?[0-9A-Za-z])")
# Source: SWIFT, IBAN registry, release 99: length by country.
_IBAN_LENGTHS = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 "
    "YE30"
)
_LENGTH_OF = {entry[:2]: int(entry[2:]) for entry in _IBAN_LENGTHS.split()}
# Source: Social Security Administration: no area 000, 666 or 900 and above, no group 00, no serial 0000.
_SSN = re.compile(
    r"(?<![\w.-])((?!000|666|9)\d{3}([ \u00a0\u2010-\u2015-])(?!00)\d\d\2(?!0000)\d{4})(?![\w-])|"
    r"(?i:\b(?:ssn|social security)(?: number| no\.?)?(?: is)?[ :#]{0,3})"
    r"((?!000|666|9)\d{3}(?!00)\d\d(?!0000)\d{4})(?!\w)"
)
_PEM = re.compile(keyshapes.SHAPES["a private key"])
_PEM_END = re.compile(r"-----END[ A-Z0-9]{0,30}PRIVATE KEY(?: BLOCK)?-----")
_PEM_CHARS = 20_000
_MASK = re.compile(r"(?i)\[(?:card|IBAN|SSN) (?:\.\.\.|…)[0-9A-Z]{4}\]|\[(?:secret: an? [\w ]{2,60}|password)\]")


class _Span(NamedTuple):
    """Where something stands that a model should not read, and what it reads there."""

    start: int
    end: int
    mask: str


def mask(text: str) -> str:
    """Return `text` with masks in place of card, account and social security numbers, keys and passwords."""
    spans = sorted(_first_wins([*_keys(text), *_ibans(text), *_cards(text), *_ssns(text), *_told(text)]))
    parts, at = [], 0
    for span in spans:
        parts += [text[at : span.start], span.mask]
        at = span.end
    return "".join([*parts, text[at:]])


def masks_in(text: str) -> list[str]:
    """Return the masks that stand in a text: words that were meant for a model only."""
    return _MASK.findall(text)


def _first_wins(spans: list[_Span]) -> list[_Span]:
    """Return the spans without those that overlap one named earlier."""
    kept: list[_Span] = []
    taken = bytearray(max((span.end for span in spans), default=0))
    for span in spans:
        if not any(taken[span.start : span.end]):
            taken[span.start : span.end] = b"\1" * (span.end - span.start)
            kept.append(span)
    return kept


def _keys(text: str) -> Iterator[_Span]:
    at = 0
    while found := _PEM.search(text, at):
        closed = _PEM_END.search(text, found.end(), found.end() + _PEM_CHARS)
        at = closed.end() if closed else found.end()
        yield _Span(found.start(), at, "[secret: a private key]")
    for name, shape in keyshapes.CLEAR.items():
        for found in shape.finditer(text):
            yield _Span(*found.span(), f"[secret: {name}]")


def _told(text: str) -> Iterator[_Span]:
    for found in keyshapes.TOLD.finditer(text):
        if any(char.isdigit() for char in found[1]):
            yield _Span(*found.span(1), "[password]")


def _ssns(text: str) -> Iterator[_Span]:
    for found in _SSN.finditer(text):
        yield _Span(*found.span(1 if found[1] else 3), f"[SSN ...{found[0][-4:]}]")


# -- accounts ----------------------------------------------------------------------------------------------------------


def _ibans(text: str) -> Iterator[_Span]:
    for found in _IBAN.finditer(text):
        if span := _iban_at(text, found.start()):
            yield span


def _iban_at(text: str, start: int) -> _Span | None:
    """Return the account number that begins at `start`, as long as its country's are and good by mod 97."""
    length = _LENGTH_OF.get(text[start : start + 2].upper(), 0)
    signs, at = "", start
    while len(signs) < length and at < len(text):
        if text[at].isascii() and text[at].isalnum():
            signs += text[at].upper()
        elif not _SEPARATOR.match(text[at]) or _SEPARATOR.match(text[at - 1]):
            return None
        at += 1
    if not length or len(signs) < length or text[at : at + 1].isalnum():
        return None
    # Source: ISO 13616: the first four signs moved to the end, letters as 10 to 35, modulo 97 is 1.
    if int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4])) % 97 != 1:
        return None
    return _Span(start, at, f"[IBAN ...{signs[-4:]}]")


# -- cards -------------------------------------------------------------------------------------------------------------


def _cards(text: str) -> Iterator[_Span]:
    kept = [found.span() for found in _NO_CARD.finditer(text)]
    for run in _RUN.finditer(text):
        if not any(start <= run.start() < end or start < run.end() <= end for start, end in kept):
            groups = [(found.start(), found.end()) for found in _GROUP.finditer(text, *run.span())]
            yield from _cards_of(text, groups)


def _cards_of(text: str, groups: list[tuple[int, int]]) -> Iterator[_Span]:
    """Find cards in a run of digit groups: the whole run, or neighbours in it grouped as cards are printed."""
    first = 0
    while first < len(groups):
        ends = _ends(text, groups, first)
        found = next((last for last in ends if _is_card(_joined(text, groups[first:last]))), None)
        if found is not None:
            digits = _joined(text, groups[first:found])
            yield _Span(groups[first][0], groups[found - 1][1], f"[card ...{digits[-4:]}]")
        first = found or first + 1


def _ends(text: str, groups: list[tuple[int, int]], first: int) -> Iterator[int]:
    """Yield where a card that begins with group `first` may end, the longest first."""
    sizes: list[int] = []
    total = 0
    while first + len(sizes) < len(groups) and total < _DIGITS[-1]:
        start, end = groups[first + len(sizes)]
        sizes.append(end - start)
        total += end - start
    for count in range(len(sizes), 0, -1):
        if total in _DIGITS and _is_together(text, groups, first, sizes[:count]):
            yield first + count
        total -= sizes[count - 1]


def _is_together(text: str, groups: list[tuple[int, int]], first: int, sizes: list[int]) -> bool:
    """Whether groups belong together: one, a run's all, or as cards are written, over a wrapped line at most."""
    lines = text.count("\n", groups[first][0], groups[first + len(sizes) - 1][1])
    is_whole = first == 0 and len(sizes) == len(groups) and not lines
    return len(sizes) == 1 or is_whole or (tuple(sizes) in _PRINTED and lines <= 1)


def _joined(text: str, groups: list[tuple[int, int]]) -> str:
    """Return the digits of some groups, in ASCII whatever script they are written in."""
    return "".join(str(int(char)) for start, end in groups for char in text[start:end])


def _is_card(digits: str) -> bool:
    """Whether a network issues such numbers and the Luhn check holds; a 13-digit bar code is no card."""
    issued = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _ISSUED)
    return issued and _luhn(digits) and not (len(digits) == 13 and _is_barcode(digits))


def _luhn(digits: str) -> bool:
    """Source: ISO/IEC 7812-1, annex B."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(doubled) + sum(int(digit) for digit in digits[::-2])) % 10 == 0


def _is_barcode(digits: str) -> bool:
    """Source: GS1 general specifications: EAN-13, weights 1 and 3."""
    return sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(digits)) % 10 == 0
