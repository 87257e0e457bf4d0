"""What a signed-in person sets right at the desk: a ticket's label, priority, tags, its draft, its link to an incident.

Each is the very room function the command line uses, under the person's own name, at the version of the ticket that
was on the page: when it changed meanwhile nothing is written, and what was typed stands on the page that says so.
"""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from sqlalchemy import Connection
from starlette.responses import Response

from opspilot_mcp import proposals
from opspilot_mcp.console.door import Page, Turn
from opspilot_mcp.console.pages.incidents import incident_view
from opspilot_mcp.console.pages.tickets import PRIORITIES, SENTIMENTS, draft_mark, ticket_view, waiting_answer
from opspilot_mcp.desk import labels, learning, moves, replies, tickets
from opspilot_mcp.desk.tickets import Priority, Ticket
from opspilot_mcp.errors import Conflict, IllegalMove, InvalidInput, OpsPilotError
from opspilot_mcp.insights import impact
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit

Form = dict[str, str]


class Done(NamedTuple):
    """Where to go after a change, and what to say there."""

    to: str
    notice: str


Change = Callable[[Turn, str], Awaitable[Done]]
_KEPT = ("category", "priority", "sentiment", "tags", "body")


def correcting(change: Change) -> Page:
    """Make a page of a change to one ticket: it says what came of it, or why nothing was changed."""

    async def page(turn: Turn) -> Response:
        ticket_id = turn.request.path_params["id"]
        try:
            done = await change(turn, ticket_id)
        except OpsPilotError as error:
            kept = {name: turn.form[name] for name in _KEPT if name in turn.form}
            return await ticket_view(turn, ticket_id, status=409, problem=str(error), typed=kept)
        return turn.go(*done)

    return page


def _at(conn: Connection, ticket_id: str, form: Form) -> Ticket:
    """Return the ticket if it is still as the page showed it. Raises Conflict saying who changed it."""
    ticket = tickets.get(conn, ticket_id)
    if form.get("version") != str(ticket.version):
        newest = audit.of_subject(conn, ticket.id, limit=1)
        by = f" by {newest[0].actor} ({newest[0].action})" if newest else ""
        raise Conflict(f"{ticket.id} was changed meanwhile{by}. Nothing was stored: look at it as it is now, below.")
    return ticket


# -- labels ------------------------------------------------------------------------------------------------------------


async def label(turn: Turn, ticket_id: str) -> Done:
    """Store the person's word on what the ticket is about: a label, learnt at once."""
    return Done(f"/tickets/{ticket_id}", await store_label(turn, ticket_id))


async def store_label(turn: Turn, ticket_id: str) -> str:
    """Store the label in the form, as `opspilot-mcp review` does; returns what came of it, in plain words."""
    return await turn.door.change(
        _label, ticket_id, turn.form, by=turn.by, policy=await turn.door.policy(), now=turn.door.now()
    )


def _label(conn: Connection, ticket_id: str, form: Form, *, by: str, policy: Policy, now: int) -> str:
    before, category = _at(conn, ticket_id, form), form.get("category", "")
    if labels.of(conn, before.number).state == "given":
        moves.update(
            conn,
            ticket_id,
            moves.Changes(category=category),
            expected_version=before.version,
            actor=by,
            policy=policy,
            now=now,
        )
        return f"{before.id} is filed under {category}. Its first label stays what the learner knows."
    done = learning.review(conn, ticket_id, category, by=by, policy=policy, now=now, priority=_priority(form))
    alarm = f" ALARM, the certificate is withdrawn: {done.alarm}." if done.alarm else ""
    gate = f"{done.gate[:1].upper()}{done.gate[1:]}"
    return f"{before.id} is {_plain(category)}. {_compared(before.category, category)} {gate}.{alarm}"


def _compared(suggested: str | None, said: str) -> str:
    if suggested is None:
        return "Triage had no guess."
    return "Triage had said so too." if suggested == said else f"Triage had said {_plain(suggested)}."


def _plain(category: str) -> str:
    return category.replace("_", " ")


def _priority(form: Form) -> Priority | None:
    """Return the priority the form names, None when it is left as it is. Raises InvalidInput."""
    given = form.get("priority", "")
    for known in PRIORITIES:
        if given == known:
            return known
    if given:
        raise InvalidInput("That is not a priority. Choose P1 to P4.")
    return None


# -- the rest of a reading ---------------------------------------------------------------------------------------------


async def correct(turn: Turn, ticket_id: str) -> Done:
    """Set priority, sentiment and tags."""
    changed = await turn.door.change(
        _correct, ticket_id, turn.form, by=turn.by, policy=await turn.door.policy(), now=turn.door.now()
    )
    return Done(f"/tickets/{ticket_id}", "Stored." if changed else "Nothing was changed: it is as you said already.")


def _correct(conn: Connection, ticket_id: str, form: Form, *, by: str, policy: Policy, now: int) -> bool:
    """Return whether anything changed. The priority is a label too: the P1 net learns from it."""
    before, priority = _at(conn, ticket_id, form), _priority(form)
    if priority is not None and priority != before.priority and before.triaged_ms is not None:
        learning.correct_priority(conn, ticket_id, priority, by=by, policy=policy, now=now)
    wanted = set(tickets.clean_tags(re.split(r"[,;]", form["tags"])) if "tags" in form else before.tags)
    changes = moves.Changes(
        priority=priority,
        sentiment=next((one for one in SENTIMENTS if one == form.get("sentiment")), None),
        add_tags=tuple(wanted - set(before.tags)),
        remove_tags=tuple(set(before.tags) - wanted),
    )
    moves.update(conn, ticket_id, changes, expected_version=None, actor=by, policy=policy, now=now)
    return tickets.get(conn, ticket_id).version != before.version


# -- the draft ---------------------------------------------------------------------------------------------------------


async def draft(turn: Turn, ticket_id: str) -> Done:
    """Save the draft; with `propose` in the form, propose it too: it then waits for a signature like any other."""
    if turn.form.get("then") != "propose":
        await turn.door.change(_draft, ticket_id, turn.form, by=turn.by, now=turn.door.now())
        return Done(f"/tickets/{ticket_id}", "The draft is saved. Nobody outside sees it.")
    made = await turn.door.change(
        _propose, ticket_id, turn.form, by=turn.by, policy=await turn.door.policy(), now=turn.door.now()
    )
    try:
        await turn.gate.sync(now=turn.door.now())
    except OpsPilotError as error:
        return Done(f"/tickets/{ticket_id}", f"{made} is proposed, and not at the gate yet: {error}")
    return Done(f"/messages/{made}", "Proposed. Read it once more as it would leave, then sign.")


def _draft(conn: Connection, ticket_id: str, form: Form, *, by: str, now: int) -> None:
    ticket = tickets.get(conn, ticket_id)
    body = form.get("body", "").replace("\r\n", "\n")
    newest = tickets.latest_draft(conn, ticket.number)
    if draft_mark(newest) != form.get("mark", ""):
        raise Conflict(f"{ticket.id} has another draft since. Yours was not stored: both stand below.")
    if newest is None or newest.body != body.strip():
        replies.save_draft(conn, ticket_id, body, engine=by, actor=by, now=now)


def _propose(conn: Connection, ticket_id: str, form: Form, *, by: str, policy: Policy, now: int) -> str:
    """Return the new proposal's id. A message of this ticket that may still leave is edited instead, where it waits."""
    ticket = _at(conn, ticket_id, form)
    if (one := waiting_answer(proposals.of_subject(conn, ticket.id))) is not None:
        raise IllegalMove(f"{one.id} answers {ticket.id} already and waits. Edit that one, or reject it first.")
    _draft(conn, ticket_id, form, by=by, now=now)
    made = replies.propose(conn, ticket_id, None, expected_version=ticket.version, actor=by, policy=policy, now=now)
    return made.proposal.id


# -- links -------------------------------------------------------------------------------------------------------------

_SAY = {"confirm": impact.confirm, "reject": impact.reject, "unlink": impact.unlink}
_SAID = {
    "confirm": "{ticket} is linked to {incident}.",
    "reject": "{incident} does not explain {ticket}. It is not suggested again.",
    "unlink": "{ticket} is no longer linked to {incident}.",
}


async def link(turn: Turn, ticket_id: str) -> Done:
    """Say from the ticket's page whether an incident explains it."""
    return Done(f"/tickets/{ticket_id}", await _link(turn, turn.form.get("incident", ""), ticket_id))


async def link_from_incident(turn: Turn) -> Response:
    """POST /incidents/INC-3/link: say from the incident's page whether it explains a ticket."""
    incident_id = turn.request.path_params["id"]
    try:
        notice = await _link(turn, incident_id, turn.form.get("ticket", ""))
    except OpsPilotError as error:
        return await incident_view(turn, incident_id, status=409, problem=str(error))
    return turn.go(f"/incidents/{incident_id}", notice)


async def _link(turn: Turn, incident_id: str, ticket_id: str) -> str:
    word = turn.form.get("say", "")
    if word not in _SAY:
        raise InvalidInput("The form does not say what to do. Open the page again.")
    changed = await turn.door.change(_SAY[word], incident_id, ticket_id, by=turn.by, now=turn.door.now())
    said = _SAID[word].format(ticket=ticket_id, incident=incident_id)
    return said if changed else f"That was said before. {said}"


BY_NAME: dict[str, Change] = {"label": label, "correct": correct, "draft": draft, "link": link}
