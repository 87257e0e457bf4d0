"""The operator's door: every command of `opspilot-mcp`. The gate's commands load only when asked for."""

import asyncio
import io
import os
import shlex
import sys
from collections import Counter
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App as Cli
from cyclopts import CycloptsError, Parameter
from cyclopts.validators import Number
from rich.text import Text

from opspilot_mcp import __version__, settings
from opspilot_mcp.app import open_app, operator_principal
from opspilot_mcp.commands import exporting, importing, printing, rows
from opspilot_mcp.commands.options import Home, Json
from opspilot_mcp.desk import flow, learning, queue, tickets
from opspilot_mcp.errors import OpsPilotError, quoted
from opspilot_mcp.text import one_line

Maps = Annotated[tuple[str, ...], Parameter(name="--map", negative="", help="theirs=ours, a column's other name.")]
Strict = Annotated[bool, Parameter(negative="", help="All rows or none.")]

cli = Cli(
    name="opspilot-mcp",
    help="A support desk and alert-storm calmer for LLM agents. Nothing leaves without a person's signature.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `run` says what stays and what to do
)
imports = Cli(name="import", help="Bring tickets, alerts or the topology in; may be repeated at will.")
exports = Cli(name="export", help="Write everything stored to a file.")
cli.command(imports)
cli.command(exports)
cli.command("opspilot_mcp.commands.estate:incident", name="incident", help="Merge, split and write up incidents.")
cli.command("opspilot_mcp.commands.estate:silence", name="silence", help="Keep alerts from paging for a while.")
cli.command("opspilot_mcp.gate.terminal:app", name="gate", help="The people's side: see, sign, refuse, send.")
cli.command("opspilot_mcp.commands.auditing:app", name="audit", help="The desk's record and the gate's: verify.")
cli.command("opspilot_mcp.commands.backup:backup", name="backup", help="Copy the whole home, checked, while it works.")
cli.command("opspilot_mcp.commands.restoring:restore", name="restore", help="Make a backup the home again.")


def run(argv: list[str]) -> int:
    """Run one command; returns the exit code: 0 done, 1 done in part, 2 refused."""
    os.umask(0o077)
    _show_what_cannot_be_drawn()
    try:
        code = cli(argv, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()  # a full disk is told here, not by the interpreter as it ends
    except CycloptsError as error:
        asked = " ".join(["opspilot-mcp", *(error.command_chain or ())])
        sys.stderr.write(f"opspilot-mcp: {one_line(str(error))} `{asked} --help` tells how it is called.\n")
        return 2
    except OpsPilotError as error:
        sys.stderr.write(f"opspilot-mcp: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("opspilot-mcp: stopped. What was stored stays; run the command again to go on.\n")
        return 130
    except BrokenPipeError:
        # The reader went away (`| head`); nothing is left to say to it.
        _let_go_of_stdout()
        return 0
    except OSError as error:
        _let_go_of_stdout()
        where = f" {error.filename}" if error.filename else " the answer"
        sys.stderr.write(f"opspilot-mcp: Cannot read or write{where}: {error.strerror}. Check path and free space.\n")
        return 2
    return code if isinstance(code, int) else 0


def _show_what_cannot_be_drawn() -> None:
    """Let a letter that this terminal's encoding lacks come out as its code, not end the command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _let_go_of_stdout() -> None:
    """Send what is still to be written nowhere: the interpreter would try again as it ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(work: Coroutine[Any, Any, int]) -> int:
    return asyncio.run(work)


@cli.command
def serve(
    *,
    home: Home = None,
    profile: Annotated[
        Literal["desk", "aiops", "all"], Parameter(help="Which tools to offer; the others are refused too.")
    ] = "all",
    read_only: Annotated[bool, Parameter(negative="", help="Offer only tools that change nothing.")] = False,
) -> int:
    """Serve MCP on stdin and stdout, as does the command without arguments. MCP clients start it."""
    from opspilot_mcp import serving

    return serving.serve(home=home, profile=profile, read_only=read_only)


@cli.command
def demo(
    *,
    home: Annotated[Path | None, Parameter(help="Keep the demo desk here, not in a temporary folder.")] = None,
    as_json: Json = False,
) -> int:
    """Walk once through everything on demo data: a queue, a storm, a draft, a signature, a delivered file."""
    from opspilot_mcp.commands import demo as room

    return _run(room.demo(home, as_json=as_json))


@cli.command
def triage(
    *,
    all_: Annotated[bool, Parameter(name="--all", negative="", help="The whole backlog.")] = False,
    limit: Annotated[int, Parameter(help="At most this many, oldest first.", validator=Number(gte=1))] = 100,
    backlog: Annotated[
        bool, Parameter(negative="", help="All; with a key, a model reads the doubtful ones in a batch, half price.")
    ] = False,
    dry_run: Annotated[bool, Parameter(negative="", help="With --backlog: only count, and estimate the cost.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Classify and route untriaged tickets. Offline, nothing is asked of any network, but with --backlog and a key."""
    from opspilot_mcp.commands import backlog as room

    room.check_arguments(is_backlog=backlog, is_dry_run=dry_run)
    if backlog:
        return _run(_backlog(home, is_dry_run=dry_run, as_json=as_json))
    return _run(_triage(None if all_ else limit, home, as_json=as_json))


async def _backlog(home: Path | None, *, is_dry_run: bool, as_json: bool) -> int:
    from opspilot_mcp.commands import backlog as room

    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        return await (room.dry_run if is_dry_run else room.run)(app, as_json=as_json)


async def _triage(limit: int | None, home: Path | None, *, as_json: bool) -> int:
    # Without the key: a whole backlog must not spend a day's budget because somebody exported a variable.
    offline = settings.load(home=home).model_copy(update={"anthropic_api_key": None})
    async with open_app(offline, principal=operator_principal()) as app:
        wanted = await app.read(queue.untriaged, limit=limit or 10_000_000)
        routes: Counter[str] = Counter()
        with printing.count_progress(len(wanted), "triage", quiet=as_json) as done:
            async for batch in flow.triage_batch(app, wanted):
                waits = ("human" if one.ticket.status == "human_review" else str(one.ticket.tier) for one in batch)
                routes.update(waits)
                done(routes.total())
        gate = (await app.read(learning.load, app.policy)).gate
    count, certified = routes.total(), gate.certificate is not None
    if as_json:
        told = {"triaged": count, "routes": dict(sorted(routes.items())), "certified": certified}
        printing.as_json({**told, "gate": gate.words()})
        return 0
    shown = ", ".join(f"{number} to {route}" for route, number in sorted(routes.items()))
    words = gate.words() if certified else f"starting rule, not certified: {gate.words()}"
    printing.console().print(
        f"Triaged {printing.counted(count, 'ticket')}{': ' + shown if shown else ''} ({words}).", markup=False
    )
    return 0


@cli.command
def review(
    ticket: Annotated[
        str | None, Parameter(help="One ticket, like T-17; left out: all that wait, oldest first.")
    ] = None,
    /,
    *,
    category: Annotated[str | None, Parameter(help="What the ticket is about.")] = None,
    priority: Annotated[
        Literal["P1", "P2", "P3", "P4"] | None, Parameter(help="Where it is another than triage gave.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Say what tickets are about. Each answer is learnt at once and counts towards a certificate and the P1 net."""
    return _run(_review(ticket, category, priority, home, as_json=as_json))


async def _review(
    ticket: str | None,
    category: str | None,
    priority: tickets.Priority | None,
    home: Path | None,
    *,
    as_json: bool,
) -> int:
    from opspilot_mcp.commands import reviewing

    reviewing.check_arguments(ticket, category, priority)
    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        if ticket is None or category is None:
            return await reviewing.review_many(app)
        return await reviewing.review_one(app, ticket, category, priority, as_json=as_json)


@imports.command(name="tickets")
def import_tickets(
    file: Path,
    /,
    *,
    map_: Maps = (),
    source: Annotated[str, Parameter(help="Where they come from; external ids are unique within it.")] = "import",
    strict: Strict = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Import tickets from CSV, JSON or JSON lines, gzipped or not. Their requesters count as verified."""
    return _run(_import_tickets(file, map_, source, home, strict=strict, as_json=as_json))


async def _import_tickets(
    file: Path, maps: tuple[str, ...], source: str, home: Path | None, *, strict: bool, as_json: bool
) -> int:
    mapping = rows.parse_mapping(list(maps))
    importing.check_source(source)
    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        with printing.file_progress(file, "import tickets", quiet=as_json) as progress:
            done = await importing.import_tickets(
                app, file, mapping=mapping, source=source, strict=strict, progress=progress
            )
    return _report("ticket", done, as_json=as_json, next_step=_with_home("opspilot-mcp triage --all", home))


@imports.command(name="answers")
def import_answers(
    file: Path,
    /,
    *,
    map_: Maps = (),
    source: Annotated[str, Parameter(help="Where the tickets came from.")] = "import",
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Import what customers wrote back. Their tickets open again where they waited for it."""
    return _run(_import_answers(file, map_, source, home, as_json=as_json))


async def _import_answers(file: Path, maps: tuple[str, ...], source: str, home: Path | None, *, as_json: bool) -> int:
    from opspilot_mcp.commands import answers

    mapping = rows.parse_mapping(list(maps))
    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        with printing.file_progress(file, "import answers", quiet=as_json) as progress:
            done = await answers.import_answers(app, file, mapping=mapping, source=source, progress=progress)
    return _report("answer", done, as_json=as_json, next_step="read them with get_ticket, or in the console.")


@imports.command(name="alerts")
def import_alerts(
    file: Path,
    /,
    *,
    map_: Maps = (),
    format_: Annotated[str | None, Parameter(name="--format", help="A format's name; else by shape.")] = None,
    correlate: Annotated[bool, Parameter(negative="", help="Fold them into incidents while they are stored.")] = False,
    strict: Strict = False,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Import alerts in any known format, one payload a row. `correlate` or the agent folds them into incidents."""
    return _run(_import_alerts(file, map_, format_, home, correlate=correlate, strict=strict, as_json=as_json))


async def _import_alerts(
    file: Path,
    maps: tuple[str, ...],
    form: str | None,
    home: Path | None,
    *,
    correlate: bool,
    strict: bool,
    as_json: bool,
) -> int:
    from opspilot_mcp.commands import storm

    mapping = rows.parse_mapping(list(maps))
    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        with printing.file_progress(file, "import alerts", quiet=as_json) as progress:
            done = await importing.import_alerts(
                app, file, mapping=mapping, source=form, strict=strict, correlate=correlate, progress=progress
            )
    if done.correlated and not as_json:
        printing.console().print(storm.reduction_line(done.correlated))
    return _report("alert", done, as_json=as_json, next_step=_with_home("opspilot-mcp correlate", home))


@imports.command(name="topology")
def import_topology(file: Path, /, *, home: Home = None, as_json: Json = False) -> int:
    """Import services, calls, instances, hosts and maintenance windows from JSON or YAML."""
    return _run(_import_topology(file, home, as_json=as_json))


async def _import_topology(file: Path, home: Path | None, *, as_json: bool) -> int:
    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        saved = await importing.import_topology(app, file)
    if as_json:
        printing.as_json(saved._asdict())
        return 0
    state = "is in force" if saved.is_new else "was in force already"
    counts = f"{saved.services} services, {saved.calls} calls, {saved.instances} instances, {saved.hosts} hosts"
    printing.console().print(f"Topology {saved.version} {state}: {counts}.")
    return 0


def _with_home(command: str, home: Path | None) -> str:
    """Return the next command for the same desk."""
    return command if home is None else f"{command} --home {shlex.quote(str(home))}"


def _report(what: str, done: importing.Imported, *, as_json: bool, next_step: str) -> int:
    code = 1 if done.rejected else 0
    if as_json:
        problems = [{"line": one.line, "reason": one.reason} for one in done.rejected]
        where = str(done.rejected_file) if done.rejected_file else None
        told = {"stored": done.stored, "known": done.known, "rejected": problems, "rejected_file": where}
        printing.as_json({**told, "left_out": done.left_out} if done.left_out else told)
        return code
    out = printing.console()
    known = f", {done.known} were here before" if done.known else ""
    out.print(f"Imported {printing.counted(done.stored, what)}{known}.")
    if done.rejected:
        verb = "was" if len(done.rejected) == 1 else "were"
        title = f"{printing.counted(len(done.rejected), 'row')} {verb} not taken"
        out.print(printing.table(["line", "reason"], _alike(done.rejected)[:10], title=title))
        out.print(f"All of them, with line and reason: {done.rejected_file}", soft_wrap=True)
    if done.left_out:
        names = ", ".join(map(quoted, done.left_out))
        out.print(f"Columns left out: {names}. To keep one: --map theirs=ours", soft_wrap=True, markup=False)
    if done.stored:
        out.print(f"Next: {next_step}", soft_wrap=True)
    return code


def _alike(problems: Sequence[importing.Problem]) -> list[tuple[str, Text]]:
    """Return each reason once, with the first lines it holds for."""
    lines: dict[str, list[int]] = {}
    for one in problems:
        lines.setdefault(one.reason, []).append(one.line)
    shown = []
    for reason, numbers in lines.items():
        more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
        shown.append((", ".join(map(str, numbers[:3])) + more, printing.plain(reason, 300)))
    return shown


@cli.command
def correlate(*, home: Home = None, as_json: Json = False) -> int:
    """Fold alerts that wait into incidents and show them."""
    return _run(_correlate(home, as_json=as_json))


async def _correlate(home: Path | None, *, as_json: bool) -> int:
    from opspilot_mcp.commands import storm

    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        return await storm.correlate(app, as_json=as_json)


@cli.command
def evaluate(
    data: Path,
    /,
    *,
    train: Annotated[Path | None, Parameter(help="Labelled tickets to fit on, before DATA is scored.")] = None,
    stream: Annotated[bool, Parameter(negative="", help="Start from nothing and take DATA in file order.")] = False,
    alpha: Annotated[float, Parameter(help="The error a certificate may allow.")] = 0.10,
    delta: Annotated[float, Parameter(help="How often its promise may fail.")] = 0.10,
    audit_rate: Annotated[float, Parameter(help="The share of what passes that a person reviews.")] = 0.10,
    seed: int = 1,
    out: Annotated[Path | None, Parameter(help="One JSON line a ticket.")] = None,
    html: Annotated[Path | None, Parameter(help="Reliability and risk-coverage as pictures, one file.")] = None,
) -> int:
    """Measure triage on your own labelled tickets (.jsonl or .csv with label, subject, body), without the desk."""
    from opspilot_mcp.desk import evaluate as room
    from opspilot_mcp.desk.certificate import Terms

    terms = Terms(alpha=alpha, delta=delta, audit_rate=audit_rate)
    with printing.count_progress(None, "evaluate", quiet=not sys.stderr.isatty()):
        told = room.run(data, train=train, is_stream=stream, terms=terms, seed=seed, out=out, page_file=html)
    sys.stdout.write(f"{told}\n")
    return 0


@cli.command
def replay(
    alerts: Path,
    /,
    *,
    topology: Annotated[Path, Parameter(help="Services, calls, instances and hosts, JSON or YAML.")],
    out: Annotated[Path, Parameter(help="Where each alert went, a JSON line an alert.")],
    incidents: Annotated[Path | None, Parameter(help="The incidents, a JSON line each.")] = None,
    html: Annotated[Path | None, Parameter(help="The storm as a picture, one file without outside assets.")] = None,
    as_json: Json = False,
) -> int:
    """Correlate a file of alerts in the canonical form, in order of arrival, without touching the desk."""
    from opspilot_mcp.commands import replaying

    return replaying.replay(alerts, topology, out=out, incidents=incidents, html=html, as_json=as_json)


@exports.default
def export(
    what: Annotated[Literal["tickets", "alerts", "incidents"], Parameter(help="What to write.")],
    file: Path,
    /,
    *,
    home: Home = None,
    as_json: Json = False,
) -> int:
    """Write all tickets, alerts or incidents to FILE: .jsonl or .csv, with .gz packed."""
    return _run(_export(what, file, home, as_json=as_json))


async def _export(what: str, file: Path, home: Path | None, *, as_json: bool) -> int:
    async with open_app(settings.load(home=home), principal=operator_principal()) as app:
        with printing.count_progress(None, f"export {what}", quiet=as_json) as progress:
            count = await exporting.export(app, what, file, progress=progress)
    if as_json:
        printing.as_json({"written": count, "file": str(file)})
    else:
        printing.console().print(f"Wrote {printing.counted(count, what[:-1])} to {file}.", soft_wrap=True)
    return 0


@cli.command
def doctor(*, home: Home = None, as_json: Json = False) -> int:
    """Check home, modes, database, policy, engine and gate, and say what to do about each problem."""
    from opspilot_mcp.commands import doctor as room

    return _run(room.doctor(home, as_json=as_json))
