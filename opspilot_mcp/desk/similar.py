"""Tickets that say the same: full-text search, nearest tickets, and likely duplicates. Suggests, never merges."""

from collections.abc import Sequence

from sqlalchemy import Connection

from opspilot_mcp.desk import tickets
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.store import fulltext, ids

# The constant of reciprocal rank fusion. Source: Cormack, Clarke, Buettcher 2009, SIGIR, 758-759.
_RRF_K = 60


def search(
    conn: Connection, words: str, *, limit: int, statuses: Sequence[str] = (), exclude: int | None = None
) -> list[Ticket]:
    """Return tickets nearest to `words`, best first: a query over everything, fused with one over its first line."""
    first_line = words.strip().split("\n", 1)[0]
    depth = max(50, 3 * limit)
    fused: dict[int, float] = {}
    for query in dict.fromkeys((words, first_line)):
        for rank, (number, _) in enumerate(fulltext.nearest(conn, query, limit=depth), 1):
            fused[number] = fused.get(number, 0.0) + 1 / (_RRF_K + rank)
    found: list[Ticket] = []
    for number in sorted(fused, key=lambda one: (-fused[one], one)):
        if len(found) == limit:
            break
        ticket = tickets.get(conn, ids.shown("T", number))
        if number != exclude and (not statuses or ticket.status in statuses):
            found.append(ticket)
    return found


def to_ticket(conn: Connection, ticket: Ticket, *, limit: int = 3) -> list[Ticket]:
    """Return the tickets nearest to this one, itself and what was merged into it left out."""
    found = search(conn, f"{ticket.subject}\n{ticket.body[:2000]}", limit=limit + 5, exclude=ticket.number)
    return [one for one in found if one.merged_into != ticket.number][:limit]
