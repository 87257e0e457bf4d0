"""The offline mind for drafts: picks a macro by category, priority and language, and fills it in.

A macro is the desk's own Markdown file. What a stranger wrote goes into it once, as plain words: never through
`str.format`, never scanned for placeholders again, and without anything that works as a link, because a reply that
repeats a subject must not carry it to somebody else.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from opspilot_mcp.engines import Brief, Draft, Letter, Priority
from opspilot_mcp.errors import BadSetting, InvalidInput, first_fault, quoted
from opspilot_mcp.store import sheets
from opspilot_mcp.text import cap, one_line

ENGINE = "local"
MAX_BYTES = 100_000
_SUBJECT_CHARS = 120
_NAME_CHARS = 60
_READ_CHARS = 4_000

_PLACE = re.compile(r"\{([a-z_]*)\}")
_PLACES = frozenset({"name", "subject", "ticket", "first_response"})
_GREETED = re.compile(r",? ?\{name\}")
# Anything a mail program would make a link of, or that names an address.
_LINK = re.compile(r"://|\bwww\.|@|\b[\w-]+\.[a-z]{2,}(?:[/:?#]|\b)|\b(?:mailto|tel|javascript|data):", re.IGNORECASE)
_MARKUP = re.compile(r"[<>\[\]{}`|\\*#]")
_WORD = re.compile(r"[^\W\d_]+")

_STOP_WORDS = {
    "en": "the and is are was you your our we with this that have has not can when please from it",
    "de": "der die das und ist sind wir ihr nicht mit ein eine bei von auf seit bitte haben kann für",
    "fr": "le la les et est sont nous vous pas avec une des du dans pour depuis merci que qui sur",
    "es": "el los las y es son nosotros usted no con una del para desde gracias que por está hemos un",
}
_STOPS = {language: frozenset(words.split()) for language, words in _STOP_WORDS.items()}
_UNITS: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str]]] = {
    "en": (("minute", "minutes"), ("hour", "hours"), ("day", "days")),
    "de": (("Minute", "Minuten"), ("Stunde", "Stunden"), ("Tag", "Tage")),
    "fr": (("minute", "minutes"), ("heure", "heures"), ("jour", "jours")),
    "es": (("minuto", "minutos"), ("hora", "horas"), ("día", "días")),
}
_HOUR, _DAY = 60, 1440


class Macro(BaseModel):
    """One reply an operator wrote. Empty `categories` fit every category."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slug: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    title: str = Field(min_length=1, max_length=200)
    categories: tuple[str, ...] = ()
    priorities: tuple[Priority, ...] = ("P1", "P2", "P3", "P4")
    languages: tuple[str, ...] = ("en",)
    body: str = Field(min_length=1)

    _many = field_validator("categories", "priorities", "languages", mode="before")(sheets.one_or_many)

    @field_validator("body")
    @classmethod
    def _knows_its_places(cls, value: str) -> str:
        unknown = sorted(set(_PLACE.findall(value)) - _PLACES)
        if unknown:
            raise ValueError(f"has the unknown placeholder {{{unknown[0]}}}")
        return value


# What is said where no macro fits: true on every desk.
_RECEIPTS = {
    "en": "Hello {name},\n\nwe have received your message and recorded it as {ticket}. Our target for a first answer "
    "is {first_response}, counted from the moment it reached us.\n\nKind regards",
    "de": "Guten Tag {name},\n\nIhre Nachricht ist eingegangen und hat die Nummer {ticket}. Unser Ziel für eine erste "
    "Antwort: {first_response} ab Eingang.\n\nMit freundlichen Grüßen",
    "fr": "Bonjour {name},\n\nvotre message est bien arrivé et porte le numéro {ticket}. Notre objectif pour une "
    "première réponse : {first_response} à compter de sa réception.\n\nCordialement",
    "es": "Hola, {name}:\n\nHemos recibido su mensaje y lleva el número {ticket}. Nuestro objetivo para una primera "
    "respuesta: {first_response} desde su recepción.\n\nUn cordial saludo",
}


def load(folder: Path) -> tuple[Macro, ...]:
    """Return the macros of a folder by slug; none where there is no folder. Raises BadSetting naming the file."""
    files = sheets.files(folder, "macro")
    found = [parse(sheets.text_of(file, "macro", max_bytes=MAX_BYTES), name=file.name) for file in files]
    sheets.check_distinct((macro.slug for macro in found), "macro")
    return tuple(sorted(found, key=lambda macro: macro.slug))


def parse(text: str, *, name: str) -> Macro:
    """Return the macro in a Markdown text with YAML front matter. Raises BadSetting that begins with `name`."""
    try:
        keys, body = sheets.parts(text)
        return Macro.model_validate({**keys, "body": body})
    except InvalidInput as error:
        raise BadSetting(f"{name}: {error}") from None
    except ValidationError as error:
        where, says = first_fault(error)
        raise BadSetting(f"{name}: {quoted('.'.join(map(str, where)))} {says}. Correct or remove it.") from None


def language_of(text: str) -> str | None:
    """Return en, de, fr or es by the stop words in a text, or None where too few stand or two languages tie."""
    words = Counter(_WORD.findall(text[:_READ_CHARS].lower()))
    scores = {name: sum(words[word] for word in stops) for name, stops in _STOPS.items()}
    best, second = sorted(scores, key=lambda name: -scores[name])[:2]
    return best if scores[best] >= 2 and scores[best] > scores[second] else None


def pick(macros: Sequence[Macro], brief: Brief, language: str) -> Macro | None:
    """Return the macro that fits category, priority and language most narrowly, or None where none fits."""
    fitting = [
        macro
        for macro in macros
        if language in macro.languages
        and brief.priority in macro.priorities
        and (not macro.categories or brief.category in macro.categories)
    ]
    return min(fitting, key=_breadth, default=None)


def _breadth(macro: Macro) -> tuple[int, int, int, str]:
    return (len(macro.categories) or 1000, len(macro.priorities), len(macro.languages), macro.slug)


def fill(macros: Sequence[Macro], letter: Letter, brief: Brief) -> Draft:
    """Return a draft: the macro that fits, or a plain receipt, in the letter's language where one is written in it."""
    language = language_of(f"{letter.subject}\n{letter.body}") or "en"
    macro = pick(macros, brief, language)
    body, slug = (macro.body, macro.slug) if macro else (_RECEIPTS[language], f"receipt-{language}")
    values = {
        "name": _plain(letter.requester_name, _NAME_CHARS),
        "subject": _plain(letter.subject, _SUBJECT_CHARS) or letter.ticket,
        "ticket": letter.ticket,
        "first_response": span(brief.first_response_minutes, language),
    }
    if not values["name"]:
        body = _GREETED.sub("", body)
    return Draft(body=_PLACE.sub(lambda place: values[place[1]], body), engine=f"macro:{slug}", language=language)


def _plain(text: str, limit: int) -> str:
    """Return a stranger's line as plain words, or nothing where it holds what works as a link or an address."""
    line = one_line(text)
    if _LINK.search(line):
        return ""
    kept, cut = cap(" ".join(_MARKUP.sub("", line).split()), limit)
    return f"{kept.rstrip()}…" if cut else kept


def span(minutes: int, language: str = "en") -> str:
    """Return a span in the largest unit that divides it, days from two on: 60 is an hour, 1440 is 24 hours."""
    size, unit = 1, 0
    if minutes % _DAY == 0 and minutes > _DAY:
        size, unit = _DAY, 2
    elif minutes % _HOUR == 0:
        size, unit = _HOUR, 1
    number = minutes // size
    one, many = _UNITS[language][unit]
    return f"{number} {one if number == 1 else many}"
