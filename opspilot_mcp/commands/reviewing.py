"""`review`: a person says what tickets are about. Their word is the only thing the learner learns from."""

import sys
from typing import get_args

from rich.text import Text
from sqlalchemy import Connection

from opspilot_mcp import keyboard, text
from opspilot_mcp.app import App
from opspilot_mcp.commands import printing
from opspilot_mcp.desk import learning, tickets
from opspilot_mcp.desk.learning import Reviewed
from opspilot_mcp.desk.tickets import Priority, Ticket
from opspilot_mcp.desk.triage import POSSIBLE_P1
from opspilot_mcp.errors import InvalidInput, NotAllowed

_BODY = 3_000


async def review_one(app: App, ticket_id: str, category: str, priority: Priority | None, *, as_json: bool) -> int:
    """Store one label given on the command line."""
    done = await _store(app, ticket_id, category, priority)
    if as_json:
        told = {"ticket": done.ticket.id, "category": category, "was_right": done.was_right, "gate": done.gate}
        told |= {"p1_net": done.p1_net, "alarm": done.alarm or None, "priority": done.ticket.priority}
        printing.as_json({**told, "status": done.ticket.status, "tier": done.ticket.tier})
    else:
        printing.console().print(_line(done), markup=False)
    return 0


async def review_many(app: App) -> int:
    """Show what waits, oldest first, and ask for each ticket's category. The suggestion is not shown: see docs.

    The priority is shown, and stands unless the answer names another: `2 P1`.
    """
    if not sys.stdin.isatty():
        raise NotAllowed("This needs a person at a terminal. For one label: opspilot-mcp review T-17 --category NAME.")
    out = printing.console()
    skipped: set[str] = set()
    names = app.policy.desk.categories
    keys = {str(number): name for number, name in enumerate(names, 1)}
    while True:
        waiting = await app.read(learning.waiting, limit=len(skipped) + 1)
        left = [ticket_id for ticket_id in waiting if ticket_id not in skipped]
        if not left:
            out.print("Nothing waits for a review.")
            return 0
        _show(*await app.read(_with_why, left[0]))
        out.print("  ".join(f"{key} {name}" for key, name in keys.items()) + "  Enter skips  q ends", markup=False)
        answer, priority = _parted(await _ask("Category, and P1 to P4 where the priority is another: "))
        if answer == "q":
            return 0
        chosen = keys.get(answer, answer)
        if chosen not in names:
            skipped.add(left[0])
            continue
        out.print(_line(await _store(app, left[0], chosen, priority)), markup=False)


def _with_why(conn: Connection, ticket_id: str) -> tuple[Ticket, bool]:
    """Return a ticket, and whether the P1 net flagged it."""
    ticket = tickets.get(conn, ticket_id)
    return ticket, any(why.startswith(POSSIBLE_P1) for why in tickets.latest_why(conn, ticket.number))


def _parted(answer: str) -> tuple[str, Priority | None]:
    """Return the category's number or name and the priority, where the last word is one."""
    words = answer.strip().lower().split()
    for priority in get_args(Priority):
        if len(words) > 1 and words[-1] == priority.lower():
            return " ".join(words[:-1]), priority
    return " ".join(words), None


async def _ask(question: str) -> str:
    with keyboard.ends_with_ctrl_c():
        sys.stdout.write(question)
        sys.stdout.flush()
        answer = sys.stdin.readline()
    return answer or "q"


async def _store(app: App, ticket_id: str, category: str, priority: Priority | None) -> Reviewed:
    return await app.write(
        learning.review,
        ticket_id,
        category,
        by=app.principal,
        policy=app.policy,
        now=app.now(),
        priority=priority,
    )


def _show(ticket: Ticket, is_possible_p1: bool) -> None:
    out = printing.console()
    flag = "  possible P1" if is_possible_p1 else ""
    out.rule(Text(f"{ticket.id}  {ticket.priority or ''}{flag}"), align="left")
    out.print(printing.plain(ticket.subject, 200))
    body, cut = text.cap(text.clean(ticket.body), _BODY)
    out.print(Text(body))
    if cut:
        out.print(f"[{cut} more characters: opspilot-mcp export tickets]", markup=False)


def _line(done: Reviewed) -> str:
    guess = {None: "no guess yet", True: "the guess was right", False: "the guess was wrong"}[done.was_right]
    alarm = f" ALARM, the certificate is withdrawn: {done.alarm}." if done.alarm else ""
    return f"{done.ticket.id} is {done.ticket.category} ({guess}). {done.gate[:1].upper()}{done.gate[1:]}.{alarm}"


def check_arguments(ticket_id: str | None, category: str | None, priority: str | None) -> None:
    """Raise InvalidInput when only one of ticket and category is given, or a priority without them."""
    if (ticket_id is None) != (category is None) or (category is None and priority is not None):
        raise InvalidInput("Give both a ticket and --category, or neither to go through what waits.")
