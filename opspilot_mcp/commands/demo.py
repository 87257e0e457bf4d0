"""`demo`: the two walks on packaged data, from an empty folder to a delivered file, with nothing to sign up for."""

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from opspilot_mcp import settings as all_settings
from opspilot_mcp.aiops import escalation, flow, formats, incidents, topologies
from opspilot_mcp.aiops.flow import Correlated
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.app import App, agent_principal, open_app, operator_principal
from opspilot_mcp.clock import human_span, now_ms, parse_ms
from opspilot_mcp.commands import importing, printing, rows, storm
from opspilot_mcp.desk import flow as desk_flow
from opspilot_mcp.desk import queue as queues
from opspilot_mcp.desk import replies, tickets
from opspilot_mcp.desk.queue import QueueFilter
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.engines import templates
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.gate import screen, service
from opspilot_mcp.gate.decisions import View
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.packaged import data_folder
from opspilot_mcp.proposals import Proposal

APPROVER = "demo"
_SHOWN = 8


@dataclass(frozen=True)
class Walked:
    """What the demo did, for the screen and for scripts."""

    home: Path
    queue: list[Ticket]
    untouched: int  # tickets routed without a person
    correlated: Correlated
    incidents: list[Incident]
    reply: Proposal
    page: Proposal
    sent_before: int
    view: View
    delivered: Path


async def demo(home: Path | None, *, as_json: bool) -> int:
    """Walk once through everything and say what happened; returns 0 when a signed message was delivered."""
    out = printing.console()
    with _home_for(home) as folder:
        async with _opened(folder) as desk:
            if not as_json:
                out.print("[bold]OpsPilot demo[/]: a support desk and an alert storm, on this machine alone.\n")
            walked = await _walk(desk, folder, None if as_json else out)
        if as_json:
            printing.as_json(_told(walked))
        else:
            _end(out, walked, keeps=home is not None)
    return 0


@contextmanager
def _home_for(given: Path | None) -> Iterator[Path]:
    if given is None:
        with tempfile.TemporaryDirectory(prefix="opspilot-demo-") as name:
            yield Path(name)
        return
    folder = given.expanduser().absolute()
    if (folder / "desk.db").exists():
        raise InvalidInput(f"{folder} holds a desk already. Name an empty folder, or leave --home out.")
    yield folder


def _opened(folder: Path) -> AbstractAsyncContextManager[App]:
    env = {"OPSPILOT_HOME": str(folder)}
    return open_app(all_settings.load(env), principal=operator_principal())


async def _walk(desk: App, folder: Path, out: Console | None) -> Walked:
    """Import, triage, fold, propose, sign, deliver; tells each step on `out` as it happens."""
    await _bring_in(desk)
    wanted = await desk.read(queues.untriaged, limit=1000)
    async for _ in desk_flow.triage_batch(desk, wanted):
        pass
    queue = (await desk.read(queues.page, QueueFilter(), limit=100)).tickets
    if out:
        await _show_queue(out, desk, queue)
    correlated = await flow.correlate(desk.db, actor=desk.principal, now=desk.now(), books=desk.runbooks)
    found = (await desk.read(incidents.find, limit=100)).incidents
    if out:
        _show_storm(out, correlated, found)
    agent = replace(desk, principal=agent_principal())
    reply, page = await _propose(agent, queue, found)
    passphrase = secrets.token_urlsafe(12)
    await service.init(folder, APPROVER, passphrase, now=now_ms())
    async with service.open_gate(folder) as gate:
        view, sent_before, delivered = await _sign(gate, folder, reply, passphrase, out)
    return Walked(
        home=folder,
        queue=queue,
        untouched=sum(ticket.status == "open" for ticket in queue),
        correlated=correlated,
        incidents=found,
        reply=reply,
        page=page,
        sent_before=sent_before,
        view=view,
        delivered=delivered,
    )


# -- the steps ---------------------------------------------------------------------------------------------------------


async def _bring_in(desk: App) -> None:
    """Import the packaged tickets, topology and storm, moved in time so that the last event is now."""
    data = data_folder()
    said = [row.data for row in rows.read(data / "tickets.jsonl") if row.data]
    shift = desk.now() - max(parse_ms(row["created_at"]) for row in said)
    new = [importing.ticket_of(row, {}) for row in said]
    moved = [one.model_copy(update={"created_ms": (one.created_ms or 0) + shift}) for one in new]
    await desk.write(
        tickets.receive_many, moved, actor=desk.principal, source="demo", policy=desk.policy, now=desk.now()
    )
    topology = json.loads((data / "topology.json").read_text(encoding="utf-8"))
    for window in topology.get("maintenance", []):
        window["start"] += shift / 1000
        window["end"] += shift / 1000
    await desk.write(topologies.save, topology, actor=desk.principal, now=desk.now())
    lines = [row.data for row in rows.read(data / "storm.jsonl") if row.data]
    alerts = [alert for line in lines for alert in formats.parse(line, source=None, now_ms=desk.now())]
    late = [one.model_copy(update={"ts_ms": one.ts_ms + shift, "arr_ms": one.arr_ms + shift}) for one in alerts]
    await flow.store(desk.db, late, actor=desk.principal, now=desk.now())


async def _propose(agent: App, queue: list[Ticket], found: list[Incident]) -> tuple[Proposal, Proposal]:
    """Draft and propose an answer to the P2 most at risk, and a page for the gravest incident."""
    first = next(
        one
        for one in queue
        if one.requester_verified
        and one.priority == "P2"
        and one.category != "other"
        and templates.language_of(f"{one.subject}\n{one.body}") == "en"  # the demo speaks English
    )
    await desk_flow.draft(agent, first.id, None, macros=agent.macros)
    made = await agent.write(
        replies.propose,
        first.id,
        None,
        expected_version=None,
        actor=agent.principal,
        policy=agent.policy,
        now=agent.now(),
    )
    gravest = max(found, key=lambda one: (one.severity == "critical", one.alert_count))
    page, _ = await agent.write(
        escalation.page,
        gravest.id,
        escalation.CHANNEL,
        None,
        actor=agent.principal,
        policy=agent.policy,
        now=agent.now(),
    )
    return made.proposal, page


async def _sign(
    gate: Gate, folder: Path, reply: Proposal, passphrase: str, out: Console | None
) -> tuple[View, int, Path]:
    """Show that nothing left, sign the answer as a person would, deliver it."""
    sent = folder / "gate" / "sent"
    await gate.tick(now=now_ms())
    before = _count(sent)
    view = await gate.view(reply.id)
    if out:
        _show_waiting(out, await gate.pending(), before)
        _show_message(out, view)
    await gate.approve(
        reply.id,
        APPROVER,
        passphrase,
        shown_sha256=view.message.sha256,
        typed_recipient=view.message.recipient,
        now=now_ms(),
    )
    await gate.tick(now=now_ms())
    delivered = sorted(path for path in sent.rglob("*") if path.is_file())
    if len(delivered) != before + 1:
        raise InvalidInput("The demo message was not delivered. Run `opspilot-mcp demo --home DIR` and look into DIR.")
    return view, before, delivered[-1]


def _count(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


# -- the screen --------------------------------------------------------------------------------------------------------


async def _show_queue(out: Console, desk: App, queue: list[Ticket]) -> None:
    now = desk.now()
    lines = [
        (
            ticket.id,
            ticket.priority or "",
            Text(
                human_span((ticket.next_due_ms or now) - now), style="red" if (ticket.next_due_ms or now) < now else ""
            ),
            "a person" if ticket.status == "human_review" else str(ticket.tier),
            f"{ticket.category} {ticket.confidence:.2f}",
            _in_one_line(ticket.subject),
        )
        for ticket in queue[:_SHOWN]
    ]
    out.rule("1  The queue, most at risk first", align="left")
    out.print(printing.table(["ticket", "", "left", "goes to", "category", "subject"], lines))
    routed = sum(ticket.status == "open" for ticket in queue)
    out.print(
        f"... {max(0, len(queue) - _SHOWN)} more. {len(queue)} triaged offline: {routed} routed to a tier, "
        f"{len(queue) - routed} to a person: nobody has reviewed a ticket yet, so the careful starting rule decides.\n"
    )
    unsure = next((ticket for ticket in queue if ticket.status == "human_review" and ticket.priority != "P1"), None)
    if unsure is not None:
        why = await desk.read(tickets.latest_why, unsure.number)
        out.print(Text.assemble((f"Why a person sees {unsure.id}: ", "bold"), printing.plain("; ".join(why[:-1]), 300)))
    out.print()


def _in_one_line(subject: str) -> Text:
    """Return a subject that a narrow terminal cuts instead of breaking its words over many lines."""
    shown = printing.plain(subject, 46)
    shown.no_wrap, shown.overflow = True, "ellipsis"
    return shown


def _show_storm(out: Console, done: Correlated, found: list[Incident]) -> None:
    out.rule("2  The alert storm, folded to its causes", align="left")
    out.print(storm.reduction_line(done))
    for one in sorted(found, key=lambda one: -one.alert_count):
        storm.show(out, one)
    out.print()


def _show_waiting(out: Console, waiting: list[Any], sent: int) -> None:
    out.rule("3  The agent proposed; nothing was sent", align="left")
    for message in waiting:
        out.print(Text(f"  {message.id}  {message.kind} for {message.subject}  {message.state}: waits for a person"))
    out.print(f"Files delivered so far: {sent}. The agent's process has no sender, no secret and no approve tool.\n")


def _show_message(out: Console, view: View) -> None:
    out.rule("4  A person reads and signs exactly these bytes", align="left")
    message = view.message
    out.print(Text(f"  {message.id} to {screen.safe(message.recipient)} by {message.channel} ({message.channel_kind})"))
    out.print(Text(f"  SHA-256 {message.sha256}"))
    for flag in message.flags:
        out.print(Text(f"  {flag.level}: {screen.safe(flag.text)}", style="yellow"))
    out.print()
    for line in [screen.safe(view.title), "", *screen.safe(view.text).split("\n")]:
        out.print(Text(f"  | {line}"))
    out.print()


def _end(out: Console, walked: Walked, *, keeps: bool) -> None:
    message = walked.view.message
    out.rule("5  Signed and delivered", align="left")
    size = walked.delivered.stat().st_size
    out.print(f"{message.id} is sent: {size} bytes, the signed ones, signed by {APPROVER!r} alone.", soft_wrap=True)
    out.print(f"  {walked.delivered}", soft_wrap=True)
    out.print(f"{walked.page.id}, the page for {walked.page.subject}, still waits: nobody signed it.\n")
    if not keeps:
        out.print("The demo's folder is gone now. Keep it with: opspilot-mcp demo --home ./demo\n", soft_wrap=True)
    out.print("[bold]Next[/]")
    out.print('  1. Claude Desktop: {"mcpServers": {"opspilot": {"command": "opspilot-mcp"}}}', soft_wrap=True)
    out.print("  2. Your gate:      opspilot-mcp gate init, then opspilot-mcp gate run", soft_wrap=True)
    out.print(
        "  3. Your data:      opspilot-mcp import tickets FILE.csv, then opspilot-mcp triage --all", soft_wrap=True
    )


def _told(walked: Walked) -> dict[str, object]:
    message = walked.view.message
    return {
        "tickets": len(walked.queue),
        "routed_to_a_tier": walked.untouched,
        "to_a_person": len(walked.queue) - walked.untouched,
        "queue": [
            {"id": one.id, "priority": one.priority, "category": one.category, "status": one.status, "tier": one.tier}
            for one in walked.queue
        ],
        "noise": walked.correlated.noise.model_dump(),
        "incidents": [
            {
                "id": one.id,
                "title": one.title,
                "alerts": one.alert_count,
                "runbook": one.runbook,
                "causes": [root.model_dump() for root in one.root_candidates],
            }
            for one in walked.incidents
        ],
        "proposed": [walked.reply.id, walked.page.id],
        "sent_before_signature": walked.sent_before,
        "signed": {"id": message.id, "recipient": message.recipient, "sha256": message.sha256},
        "delivered": str(walked.delivered),
        "delivered_bytes": walked.delivered.stat().st_size,
    }
