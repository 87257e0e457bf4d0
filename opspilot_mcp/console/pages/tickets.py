"""The queue with its clock, and one ticket: thread, reading, draft, incidents. Read as a stranger's file."""

import hashlib
from typing import NamedTuple, get_args

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response

from opspilot_mcp import proposals
from opspilot_mcp.aiops import incidents
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.console.door import Turn
from opspilot_mcp.desk import labels, similar, tickets
from opspilot_mcp.desk import queue as queues
from opspilot_mcp.desk.labels import Label
from opspilot_mcp.desk.queue import Page
from opspilot_mcp.desk.similar import Hint
from opspilot_mcp.desk.tickets import Priority, Sentiment, Tier
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.insights import impact
from opspilot_mcp.insights.impact import Link, Suggestion
from opspilot_mcp.policy import Policy
from opspilot_mcp.proposals import Proposal
from opspilot_mcp.store import ids

PAGE = 50
THREAD = 100
_SUGGESTED = 3
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
SENTIMENTS: tuple[Sentiment, ...] = get_args(Sentiment)
TIERS: tuple[Tier, ...] = get_args(Tier)


def chosen(turn: Turn, name: str, known: tuple[str, ...]) -> str | None:
    """Return a query parameter that is one of `known`, None when it is missing."""
    value = turn.request.query_params.get(name)
    if value is not None and value not in known:
        raise HTTPException(404, "There is no such page.")
    return value


class Queue(NamedTuple):
    """A page of the queue, and the tickets whose category a person must say before they see triage's."""

    page: Page
    blind: frozenset[int]


def queue(conn: Connection, wanted: queues.QueueFilter, *, cursor: str | None) -> Queue:
    """Return one page, most at risk first."""
    page = queues.page(conn, wanted, cursor=cursor, limit=PAGE)
    return Queue(page, labels.blind_among(conn, [one.number for one in page.tickets]))


async def show_queue(turn: Turn) -> Response:
    """GET /tickets: the queue, most at risk first."""
    asked = {"priority": chosen(turn, "priority", PRIORITIES), "tier": chosen(turn, "tier", TIERS)}
    wanted = queues.QueueFilter.model_validate(asked)
    cursor = turn.request.query_params.get("cursor")
    found = await turn.door.desk(queue, wanted, cursor=cursor)
    return await turn.draw(
        "tickets.html", wanted=wanted, priorities=PRIORITIES, tiers=TIERS, cursor=cursor, **found._asdict()
    )


class TicketPage(NamedTuple):
    """Everything one ticket's page shows. `linked` and `suggested` come with their incident, None where it is gone.

    `hint` is the ticket this one may repeat.
    """

    ticket: tickets.Ticket
    thread: list[tickets.Message]
    older: int
    why: list[str]
    draft: tickets.Message | None
    proposals: list[Proposal]
    label: Label
    hint: Hint | None
    linked: list[tuple[Link, Incident | None]]
    suggested: list[tuple[Suggestion, Incident | None]]


def ticket_page(conn: Connection, ticket_id: str) -> TicketPage:
    """Return one ticket with its thread, reading, draft, proposals and incidents. Raises NotFound."""
    ticket = tickets.get(conn, ticket_id)
    thread, older = tickets.thread(conn, ticket.number, limit=THREAD)
    links = impact.links_of_ticket(conn, ticket.id)
    suggested = impact.incidents_of(conn, ticket.id, limit=_SUGGESTED).suggestions
    numbers = [
        ids.number("INC", name) for name in {*(one.incident for one in links), *(one.incident for one in suggested)}
    ]
    known = {one.id: one for one in incidents.by_number(conn, numbers)}
    return TicketPage(
        ticket,
        thread,
        older,
        tickets.latest_why(conn, ticket.number),
        tickets.latest_draft(conn, ticket.number),
        proposals.of_subject(conn, ticket.id),
        labels.of(conn, ticket.number),
        similar.hint_of(conn, ticket.number),
        [(one, known.get(one.incident)) for one in links],
        [(one, known.get(one.incident)) for one in suggested],
    )


def draft_mark(draft: tickets.Message | None) -> str:
    """Return what names a draft's exact words in a form: another draft since has another mark."""
    return hashlib.sha256(draft.body.encode()).hexdigest()[:32] if draft else ""


def waiting_answer(made: list[Proposal]) -> Proposal | None:
    """Return the answer of a ticket that may still leave; a page to the people on call answers nobody."""
    return next((one for one in made if one.kind == "reply" and one.state in proposals.WAITING), None)


def _is_used(found: TicketPage) -> bool:
    """Whether the newest draft left, or may have: offered again, its requester would get it twice."""
    answers = [one for one in found.proposals if one.kind == "reply" and one.state in proposals.GONE]
    return found.draft is not None and any(one.body == found.draft.body for one in answers)


async def show_ticket(turn: Turn) -> Response:
    """GET /tickets/T-17."""
    return await ticket_view(turn, turn.request.path_params["id"])


async def ticket_view(
    turn: Turn, ticket_id: str, *, status: int = 200, problem: str = "", typed: dict[str, str] | None = None
) -> Response:
    """Return a ticket's page; after a refused change with the reason and what the person had typed."""
    found = await turn.door.desk(ticket_page, ticket_id)
    policy, policy_problem = await _policy(turn)
    return await turn.draw(
        "ticket.html",
        status,
        **found._asdict(),
        mark=draft_mark(found.draft),
        waiting=waiting_answer(found.proposals),
        is_used=_is_used(found),
        categories=policy.desk.categories if policy else (),
        hours=policy.hours_of(found.ticket.priority) if policy else "",
        priorities=PRIORITIES,
        sentiments=SENTIMENTS,
        problem=problem or policy_problem,
        typed=typed or {},
    )


async def _policy(turn: Turn) -> tuple[Policy | None, str]:
    try:
        return await turn.door.policy(), ""
    except OpsPilotError as error:
        return None, str(error)
