"""`doctor`: is everything as it must be, and what to do where it is not."""

import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from sqlalchemy import Connection, func, select

from opspilot_mcp import __version__, proposals
from opspilot_mcp import policy as policies
from opspilot_mcp import settings as all_settings
from opspilot_mcp.aiops import runbooks
from opspilot_mcp.clock import human_span, now_ms
from opspilot_mcp.commands import printing
from opspilot_mcp.engines import templates
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.packaged import own_or_packaged
from opspilot_mcp.policy import Policy
from opspilot_mcp.settings import Settings
from opspilot_mcp.store import sqlite
from opspilot_mcp.store.db import open_db
from opspilot_mcp.store.files import is_shared
from opspilot_mcp.store.schema import DESK, alerts, incidents, tickets

Verdict = Literal["ok", "note", "problem"]


class Check(NamedTuple):
    """One finding; `says` ends with the next step where there is one."""

    verdict: Verdict
    name: str
    says: str


async def doctor(home: Path | None, *, as_json: bool) -> int:
    """Print every finding; returns 1 when there is a problem."""
    try:
        settings = all_settings.load(home=home)
    except OpsPilotError as error:
        found = [Check("problem", "settings", str(error))]
    else:
        found = [*_still(settings), *await _stored(settings)]
    if as_json:
        printing.as_json([check._asdict() for check in found])
    else:
        marks = {"ok": "[green]ok[/]", "note": "[yellow]note[/]", "problem": "[red]problem[/]"}
        rows = [(marks[check.verdict], check.name, check.says) for check in found]
        printing.console().print(printing.table(["", "check", "finding"], rows))
    return int(any(check.verdict == "problem" for check in found))


def _still(settings: Settings) -> Iterator[Check]:
    """Yield what can be said without opening the database."""
    yield Check("ok", "version", f"opspilot-mcp {__version__}")
    yield _home(settings.home)
    yield _journal()
    yield from _files(settings)
    yield _engine(settings)
    yield _isolation(settings)


def _home(home: Path) -> Check:
    if not home.is_dir():
        return Check("note", "home", f"{home} is not there yet; the first command makes it.")
    mode = stat.S_IMODE(home.stat().st_mode)
    if mode & 0o007 or (mode & 0o070 and not is_shared(home)):
        return Check("problem", "home", f"{home} has mode {mode:04o}: others can read it. Run chmod 700 on it.")
    return Check("ok", "home", f"{home}, mode {mode:04o}")


def _journal() -> Check:
    linked = sqlite3.sqlite_version
    if sqlite.has_wal_reset_fix():
        return Check("ok", "sqlite", f"SQLite {linked}: write-ahead log.")
    says = (
        f"SQLite {linked} can corrupt a write-ahead log, so the slower rollback journal is used. 3.51.3 or newer helps."
    )
    return Check("note", "sqlite", says)


def _files(settings: Settings) -> Iterator[Check]:
    try:
        policy = policies.load(settings.policy_file)
        origin = "policy.toml" if settings.policy_file.exists() else "the defaults; there is no policy.toml"
        yield Check("ok", "policy", f"{len(policy.desk.categories)} categories, from {origin}.")
        yield from _promises(policy)
        books = runbooks.load(own_or_packaged(settings.runbooks, "runbooks"))
        yield Check("ok", "runbooks", f"{len(books)}, {_whose(settings.runbooks)}")
        macros = templates.load(own_or_packaged(settings.macros, "macros"))
        yield Check("ok", "macros", f"{len(macros)}, {_whose(settings.macros)}")
    except OpsPilotError as error:
        yield Check("problem", "files", str(error))


def _promises(policy: Policy) -> Iterator[Check]:
    """Yield the calendars, and what each priority is held to. Hours: `40 h` of a calendar are no day and a half."""
    for name, one in sorted(policy.calendars.items()):
        last = f"last holiday {max(one.holidays)}" if one.holidays else "no holidays"
        yield Check("ok", "calendar", f"{name}: {one.zone}, open {_hours(one.clock.week_minutes)} a week, {last}.")
    for priority, promise in sorted(policy.sla.items()):
        first, last = _hours(promise.first_response_minutes), _hours(promise.resolution_minutes)
        says = f"First response in {first}, resolution in {last}, {policy.hours_of(priority)}."
        yield Check("ok", f"clock {priority}", says)


def _hours(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{rest} min" if rest else "") if part)


def _whose(folder: Path) -> str:
    return "your own." if folder.is_dir() else f"the packaged ones; put yours in {folder.name}/ of the home."


def _engine(settings: Settings) -> Check:
    if settings.anthropic_api_key is None:
        return Check("ok", "engine", "Local rules and macros. No key is set and no network is used.")
    return Check("note", "engine", f"ANTHROPIC_API_KEY is set, model {settings.model}.")


def _isolation(settings: Settings) -> Check:
    """Say honestly what separates an agent from the gate: the owners of the two databases' places."""
    gate, desk = settings.gate_home, settings.desk_db
    if gate.is_dir() and desk.exists():
        kept_apart = gate.stat().st_uid != desk.stat().st_uid and not stat.S_IMODE(gate.stat().st_mode) & 0o077
        if kept_apart:
            return Check("ok", "isolation", "L1: the gate belongs to another user than the desk, and is closed to it.")
    says = (
        "L0: agent and gate run under one operating-system user. An agent with a shell could read and replace "
        "anything. For L1 run the gate as a user of its own: docs/security.md."
    )
    return Check("note", "isolation", says)


async def _stored(settings: Settings) -> list[Check]:
    """Return what the database says; it is opened only where it exists."""
    if not settings.desk_db.exists():
        return [Check("note", "database", "There is no desk.db yet; the first command makes it.")]
    try:
        async with open_db(settings.desk_db, DESK) as db:
            return await db.read(_look, now=now_ms())
    except OpsPilotError as error:
        return [Check("problem", "database", str(error))]


def _look(conn: Connection, *, now: int) -> list[Check]:
    sound = conn.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    counts = {
        table.name: conn.execute(select(func.count()).select_from(table)).scalar_one()
        for table in (tickets, alerts, incidents)
    }
    waiting = len(proposals.recent(conn, waiting=True, limit=1000))
    shown = ", ".join(f"{count} {name}" for name, count in counts.items())
    database = (
        Check("ok", "database", f"Schema {DESK.head}, {shown}.")
        if sound == "ok"
        else Check("problem", "database", "desk.db is damaged. Stop every opspilot-mcp and restore a backup.")
    )
    return [database, _gate(proposals.gate_state(conn, now=now), waiting, now)]


def _gate(state: proposals.GateState, waiting: int, now: int) -> Check:
    if state.killed:
        return Check("note", "gate", f"A person threw the kill switch; {printing.counted(waiting, 'message')} in line.")
    if state.running:
        return Check("ok", "gate", f"The gate runs; {printing.counted(waiting, 'message')} to be signed.")
    seen = f"last seen {human_span(now - state.last_beat_ms)} ago" if state.last_beat_ms else "never started"
    first = "" if state.last_beat_ms else "opspilot-mcp gate init, once, then "
    return Check(
        "note",
        "gate",
        f"The gate is not running ({seen}); {printing.counted(waiting, 'message')} in line. "
        f"Start: {first}opspilot-mcp gate run",
    )
