"""`incident` and `silence`: what a person decides about incidents and alerts. No agent's tool leads here."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec, TypeVar

from cyclopts import App as Cli
from cyclopts import Parameter
from sqlalchemy import Connection

from opspilot_mcp import settings
from opspilot_mcp.aiops import byhand, silences
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.silences import Pattern, Silence
from opspilot_mcp.app import App, open_app, operator_principal
from opspilot_mcp.clock import MINUTE_MS, iso
from opspilot_mcp.commands import printing
from opspilot_mcp.commands.options import Home, Json
from opspilot_mcp.insights import postmortem as postmortems

P = ParamSpec("P")
T = TypeVar("T")

incident = Cli(name="incident", help="Merge, split and write up incidents; correlation respects a person's word.")
silence = Cli(name="silence", help="Keep alerts from paging for a while; they are stored and counted all the same.")


def _do(home: Path | None, fn: Callable[Concatenate[Connection, App, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run one room function as the operator, in one transaction."""

    async def work() -> T:
        async with open_app(settings.load(home=home), principal=operator_principal()) as app:
            return await app.write(lambda conn: fn(conn, app, *args, **kwargs))

    return asyncio.run(work())


@incident.command
def merge(loser: str, survivor: str, /, *, home: Home = None, as_json: Json = False) -> int:
    """Move every alert of LOSER to SURVIVOR, for good."""
    return _tell(_do(home, _merge, loser, survivor), "holds the alerts of both now", as_json=as_json)


def _merge(conn: Connection, app: App, loser: str, survivor: str) -> Incident:
    return byhand.merge(conn, loser, survivor, actor=app.principal, now=app.now(), books=app.runbooks)


@incident.command
def split(whole: str, /, *entities: str, home: Home = None, as_json: Json = False) -> int:
    """Move the alerts at ENTITIES (services or hosts) to a new incident; correlation never joins the two again."""
    return _tell(_do(home, _split, whole, entities), "is the new incident", as_json=as_json)


def _split(conn: Connection, app: App, whole: str, entities: tuple[str, ...]) -> Incident:
    return byhand.split(conn, whole, entities, actor=app.principal, now=app.now(), books=app.runbooks)


def _tell(one: Incident, what: str, *, as_json: bool) -> int:
    if as_json:
        printing.as_json({"incident": one.id, "alerts": one.alert_count, "state": one.state, "title": one.title})
    else:
        printing.console().print(f"{one.id} {what}: {one.alert_count} alerts.", markup=False)
    return 0


@incident.command
def postmortem(number: str, /, *, home: Home = None) -> int:
    """Write a postmortem draft as Markdown to stdout: timeline, cause, impact, what caught it; all from queries."""
    sys.stdout.write(_do(home, lambda conn, _: postmortems.draft(conn, number)) + "\n")
    return 0


@silence.command
def add(
    *,
    reason: Annotated[str, Parameter(help="Why these alerts need nobody.")],
    minutes: Annotated[int, Parameter(help="From now on, at most 30 days.")] = 60,
    service: str | None = None,
    host: str | None = None,
    alertname: str | None = None,
    cluster: str | None = None,
    env: str | None = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Silence alerts that match every name given; names may hold * and ?."""
    pattern = Pattern(cluster=cluster, env=env, service=service, host=host, alertname=alertname)
    return _tell_silences([_do(home, _add, pattern, minutes, reason)], as_json=as_json)


def _add(conn: Connection, app: App, pattern: Pattern, minutes: int, reason: str) -> Silence:
    now = app.now()
    ends = now + minutes * MINUTE_MS
    return silences.add(conn, pattern, starts_ms=now, ends_ms=ends, reason=reason, actor=app.principal, now=now)


@silence.command
def end(number: int, /, *, home: Home = None, as_json: Json = False) -> int:
    """End a silence now."""
    ended = _do(home, lambda conn, app: silences.end(conn, number, actor=app.principal, now=app.now()))
    return _tell_silences([ended], as_json=as_json)


@silence.command(name="list")
def list_(*, home: Home = None, as_json: Json = False) -> int:
    """Show the silences in force, to come, or over for less than a day."""
    return _tell_silences(_do(home, lambda conn, app: silences.asked(conn, now=app.now())), as_json=as_json)


def _tell_silences(found: list[Silence], *, as_json: bool) -> int:
    if as_json:
        printing.as_json([one.model_dump() for one in found])
        return 0
    rows = [
        (
            str(one.number),
            iso(one.ends_ms),
            printing.plain(" ".join(f"{k}={v}" for k, v in one.pattern.model_dump(exclude_none=True).items())),
            printing.plain(one.reason),
        )
        for one in found
    ]
    printing.console().print(printing.table(["silence", "ends", "matches", "why"], rows) if rows else "No silences.")
    return 0
