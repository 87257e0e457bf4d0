"""Runbooks: Markdown files an operator keeps in the home, matched to incidents, their steps ticked off.

A runbook is the operator's own text, trusted as instructions for people. Its front matter says where it applies:
`services` (empty: any), `alerts` (patterns with * and ?), `kinds` (deploy, node_down, ...).
"""

import logging
import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import Connection, insert, select

from opspilot_mcp.errors import BadSetting, InvalidInput, NotFound, first_fault, quoted
from opspilot_mcp.store import audit, ids, sheets
from opspilot_mcp.store.schema import runbook_steps

log = logging.getLogger(__name__)

MAX_BYTES = 200_000
SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)

_STEP = re.compile(r"^(\d{1,2})[.)][ \t]+(\S.*)$")
_FENCE = re.compile(r"^\s*(```|~~~)")
_HEADING = re.compile(r"^#{1,6}\s+(.*\S)")

# What a match is worth. A named service and a named alert together beat any one of them.
_BY_ALERT = 4
_BY_SERVICE = 3
_BY_KIND = 2
_BY_ROOT = 2


class _Front(BaseModel):
    """The front matter of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1, max_length=200)
    slug: str = ""
    services: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    severity: str | None = None

    _many = field_validator("services", "alerts", "kinds", mode="before")(sheets.one_or_many)


class Runbook(BaseModel):
    """One runbook. `steps` are the top-level numbered items, in order, with all that is indented under them."""

    model_config = ConfigDict(frozen=True)

    slug: str
    title: str
    services: tuple[str, ...]
    alerts: tuple[str, ...]
    kinds: tuple[str, ...]
    severity: str | None
    steps: tuple[str, ...]
    body: str


class Facts(NamedTuple):
    """What of an incident decides its runbook."""

    services: frozenset[str]
    alertnames: frozenset[str]
    kinds: frozenset[str]
    root: str | None  # the leading candidate


class Ticked(BaseModel):
    """One step somebody has done; steps count from 1."""

    model_config = ConfigDict(frozen=True)

    step: int
    by: str
    at_ms: int


# -- reading -----------------------------------------------------------------------------------------------------------


def load(folder: Path) -> list[Runbook]:
    """Return the runbooks of a folder by slug; none when there is no folder. Raises BadSetting naming the file."""
    found = [_read(str(file), file.stat().st_mtime_ns) for file in sheets.files(folder, "runbook")]
    sheets.check_distinct((book.slug for book in found), "runbook")
    return sorted(found, key=lambda book: book.slug)


def readable(folder: Path) -> list[Runbook]:
    """Return the runbooks of a folder that can be read, by slug; what is wrong with the others is logged.

    In the middle of a storm a typing error in one must not cost the others, nor the correlation. Of two with one slug
    the first by file name counts.
    """
    found: dict[str, Runbook] = {}
    for file in sheets.files(folder, "runbook"):
        try:
            book = _read(str(file), file.stat().st_mtime_ns)
        except (BadSetting, OSError) as error:
            log.warning("a runbook is left out: %s", error if isinstance(error, BadSetting) else file.name)
            continue
        if found.setdefault(book.slug, book) is not book:
            log.warning("a runbook is left out: %s has the slug %s, as another has.", file.name, book.slug)
    return sorted(found.values(), key=lambda book: book.slug)


# A changed file has another mtime; the folder is read on every fold, its files are not.
@lru_cache(maxsize=2 * sheets.MAX_FILES)
def _read(path: str, _mtime_ns: int) -> Runbook:
    file = Path(path)
    try:
        return parse(sheets.text_of(file, "runbook", max_bytes=MAX_BYTES), slug=file.stem)
    except InvalidInput as error:
        raise BadSetting(f"{file.name}: {error}") from None


def parse(text: str, *, slug: str) -> Runbook:
    """Return the runbook in a Markdown text with YAML front matter. Raises InvalidInput naming what is wrong."""
    keys, body = sheets.parts(text)
    try:
        front = _Front.model_validate(keys)
    except ValidationError as error:
        where, says = first_fault(error)
        raise InvalidInput(f"The front matter's {'.'.join(map(str, where))} is wrong: {says}. Correct it.") from None
    name = front.slug or slug
    if not SLUG.fullmatch(name):
        raise InvalidInput(f"The slug {quoted(name)} is not lower case letters, digits and hyphens. Rename it.")
    return Runbook(**{**front.model_dump(), "slug": name}, steps=steps_of(body), body=body)


def steps_of(body: str) -> tuple[str, ...]:
    """Return the numbered items at the margin, each with its indented lines; of the section Steps if there is one."""
    steps: list[list[str]] = []
    lines = _section(body.splitlines(), "steps")
    fenced = False
    open_step = False
    for line in lines:
        match = None if fenced else _STEP.match(line)
        if match:
            steps.append([match.group(2)])
            open_step = True
        elif open_step and (not line.strip() or line[0] in " \t"):
            steps[-1].append(line)
        else:
            open_step = False
        if _FENCE.match(line):
            fenced = not fenced
    return tuple("\n".join(step).strip() for step in steps)


def _section(lines: Sequence[str], name: str) -> Sequence[str]:
    """Return the lines under the heading `name` up to the next heading; all lines when there is no such heading."""
    start = None
    fenced = False
    for at, line in enumerate(lines):
        fenced ^= bool(_FENCE.match(line))
        heading = None if fenced else _HEADING.match(line)
        if heading and start is not None:
            return lines[start:at]
        if heading and heading.group(1).strip().lower() == name:
            start = at + 1
    return lines if start is None else lines[start:]


def find(books: Iterable[Runbook], slug: str) -> Runbook:
    """Return the runbook called `slug`. Raises NotFound; a slug never becomes a path."""
    for book in books:
        if book.slug == slug:
            return book
    raise NotFound("There is no runbook of that name. get_incident names the one that fits.")


# -- matching ----------------------------------------------------------------------------------------------------------


def match(facts: Facts, books: Iterable[Runbook]) -> tuple[Runbook, tuple[str, ...]] | None:
    """Return the runbook that fits best and why (alert, service, kind, root); None when none names an alert or kind.

    A runbook that lists services fits only an incident at one of them. A service alone is no reason: it says where,
    not what. Between equals the one whose slug comes first wins.
    """
    best: tuple[int, Runbook, tuple[str, ...]] | None = None
    for book in sorted(books, key=lambda book: book.slug):
        worth, why = _fit(facts, book)
        if worth and (best is None or worth > best[0]):
            best = (worth, book, why)
    return None if best is None else best[1:]


def _fit(facts: Facts, book: Runbook) -> tuple[int, tuple[str, ...]]:
    here = facts.services & set(book.services)
    if book.services and not here:
        return 0, ()
    named = any(fnmatchcase(name, pattern) for pattern in book.alerts for name in facts.alertnames)
    kind = bool(facts.kinds & set(book.kinds))
    if not named and not kind:
        return 0, ()
    terms = (
        ("alert", _BY_ALERT, named),
        ("service", _BY_SERVICE, bool(here)),
        ("kind", _BY_KIND, kind),
        ("root", _BY_ROOT, facts.root in book.services),
    )
    return sum(worth for _, worth, holds in terms if holds), tuple(name for name, _, holds in terms if holds)


# -- steps -------------------------------------------------------------------------------------------------------------


def tick(conn: Connection, number: int, book: Runbook, step: int, *, actor: str, now: int) -> bool:
    """Record that a step of an incident's runbook is done; False when it already was. Steps count from 1.

    Raises InvalidInput for a step the runbook does not have.
    """
    if not 1 <= step <= len(book.steps):
        raise InvalidInput(f"{book.slug} has steps 1 to {len(book.steps)}. get_runbook shows them.")
    if any(done.step == step for done in ticked(conn, number, book.slug)):
        return False
    conn.execute(insert(runbook_steps).values(incident_id=number, runbook=book.slug, step=step, by=actor, at_ms=now))
    audit.record(
        conn, actor, "runbook.step_done", ids.shown("INC", number), now=now, detail={"runbook": book.slug, "step": step}
    )
    return True


def ticked(conn: Connection, number: int, slug: str | None = None) -> list[Ticked]:
    """Return the steps done for an incident, in order; of one runbook, or of whatever was begun."""
    query = select(runbook_steps.c.step, runbook_steps.c.by, runbook_steps.c.at_ms)
    query = query.where(runbook_steps.c.incident_id == number).order_by(runbook_steps.c.step)
    if slug is not None:
        query = query.where(runbook_steps.c.runbook == slug)
    return [Ticked.model_validate(row) for row in conn.execute(query).mappings()]


def choose(conn: Connection, number: int, present: str | None, facts: Facts, books: Sequence[Runbook]) -> str | None:
    """Return the slug an incident should carry: the best match, but never another one once work on it has begun."""
    found = match(facts, books) if books else None
    wanted = found[0].slug if found else present
    if present is None or wanted == present or not ticked(conn, number, present):
        return wanted
    return present
