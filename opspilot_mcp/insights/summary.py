"""The week on one page, as Markdown in which every number comes from a query and is listed with it.

No model writes here. A sentence stands when the numbers call for it, and its figures go through `_Page.say`, which
records what was printed, what it means and which query gave it. Strangers' words stay out: of a ticket the page
shows its id, of a tag or category the name alone, stripped of anything Markdown would act on.
"""

import re

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Column, ColumnElement, Connection, and_, func, or_, select

from opspilot_mcp import proposals
from opspilot_mcp.clock import DAY_MS, human_span, iso
from opspilot_mcp.insights import attainment, blockers, ledger, volume
from opspilot_mcp.insights.attainment import Attainment, Target
from opspilot_mcp.insights.blockers import Blocker
from opspilot_mcp.store import ids
from opspilot_mcp.store.schema import alerts, incidents, tickets
from opspilot_mcp.store.schema import proposals as proposals_table

_SHOWN_IDS = 10
_SHOWN_BLOCKERS = 5
_SHARE_FROM = 10  # a change in per cent of fewer tickets would sound surer than it is
_NOT_IN_A_NAME = re.compile(r"[^\w .:/+&-]")


class Figure(BaseModel):
    """One number on the page: as printed, what it says, the query that gave it, and the records behind it."""

    model_config = ConfigDict(frozen=True)

    number: str
    label: str
    query: str
    ids: tuple[str, ...] = ()


class Summary(BaseModel):
    """The page, and the figures printed on it."""

    model_config = ConfigDict(frozen=True)

    since_ms: int
    until_ms: int
    markdown: str
    figures: tuple[Figure, ...]


class _Page:
    """The page while it is written: the sentences at its top, the lines below, and the figures printed in them."""

    def __init__(self, now: int, days: int) -> None:
        self.now, self.since, self.before, self.days = now, now - days * DAY_MS, now - 2 * days * DAY_MS, days
        self.top: list[str] = []
        self.lines: list[str] = []
        self.figures: list[Figure] = []

    def say(self, number: int | str, label: str, query: str, found: tuple[str, ...] = ()) -> str:
        """Record a figure and return it as it is printed."""
        printed = str(number)
        self.figures.append(Figure(number=printed, label=label, query=query, ids=found))
        return printed

    def tickets(self, number: int, label: str, query: str, found: tuple[str, ...] = ()) -> str:
        """Record a number of tickets and return it with its noun."""
        return f"{self.say(number, label, query, found)} {'ticket' if number == 1 else 'tickets'}"

    def share(self, part: int, whole: int, label: str, query: str) -> str:
        """Record a share of two counted numbers and return it in per cent."""
        return self.say(f"{100 * part / whole:.1f} %", label, query)

    def listed(self, number: int, found: tuple[str, ...]) -> str:
        """Return the ids behind a number as the end of its sentence, and how many more there are."""
        if not found:
            return ""
        more = number - len(found)
        rest = f" and {self.say(more, 'not listed', 'the number before it')} more" if more else ""
        return f": {', '.join(found)}{rest}"

    def section(self, title: str, sentences: list[str]) -> None:
        self.lines += ["", f"## {title}", "", *(f"- {sentence}" for sentence in sentences)]


def markdown(conn: Connection, now: int, days: int = 7) -> Summary:
    """Return the executive summary of the last `days`. Raises InvalidInput for a number of days that makes no sense."""
    page = _Page(now, days)
    trends = blockers.trends(conn, now, days, _SHOWN_BLOCKERS)
    since = page.say(iso(page.since)[:10], "first day of the period", "period")
    until = page.say(iso(now)[:10], "last day of the period", "period")
    title = f"# Support and operations, {since} to {until}"
    _volume(page, conn, trends.previous_total)
    _deadlines(page, conn)
    _blockers(page, trends)
    _incidents(page, conn)
    _spend(page, conn)
    _waiting(page, conn)
    text = "\n".join([title, "", " ".join(page.top), *page.lines]) + "\n"
    return Summary(since_ms=page.since, until_ms=now, markdown=text, figures=tuple(page.figures))


# -- tickets -----------------------------------------------------------------------------------------------------------


def _volume(page: _Page, conn: Connection, previous: int) -> None:
    counts = volume.count(conn, page.since, page.now)
    page.top.append(_change(page, counts.total, previous))
    said = [_solved(page, conn)]
    if counts.merged:
        said.append(f"{page.tickets(counts.merged, 'merged as duplicates', 'volume.count')} merged as duplicates.")
    for title, table in (("category", counts.by_category), ("priority", counts.by_priority)):
        if table:
            parts = (f"{_name(k)} {page.say(v, f'{title} {k}', 'volume.count')}" for k, v in table.items())
            said.append(f"By {title}: {', '.join(parts)}.")
    backlog = page.tickets(counts.open_backlog, "open tickets", "volume.count")
    untriaged = page.say(counts.untriaged, "open tickets not triaged", "volume.count")
    said.append(f"Open now: {backlog}, {untriaged} of them not triaged.")
    said += _first_priority(page, conn)
    page.section("Volume", said)


def _change(page: _Page, total: int, previous: int) -> str:
    came = page.tickets(total, "tickets created", "volume.count")
    before = page.say(previous, "tickets created in the period before", "blockers.trends")
    if total == previous:
        return f"{came} came in, as many as in the period before ({before})."
    word, span = ("more", total - previous) if total > previous else ("fewer", previous - total)
    share = ""
    if previous >= _SHARE_FROM:
        share = f" ({page.share(span, previous, f'{word} tickets', 'volume.count, blockers.trends')})"
    difference = page.say(span, f"{word} tickets than before", "volume.count - blockers.trends")
    return f"{came} came in, {difference} {word}{share} than the {before} of the period before."


def _solved(page: _Page, conn: Connection) -> str:
    number, found = _tickets(
        conn,
        tickets.c.status.in_(["resolved", "closed"]),
        tickets.c.resolved_ms > page.since,
        tickets.c.resolved_ms <= page.now,
        tickets.c.merged_into.is_(None),
    )
    return f"Resolved: {page.tickets(number, 'resolved', 'summary.resolved', found)}."


def _first_priority(page: _Page, conn: Connection) -> list[str]:
    in_period = (tickets.c.created_ms > page.since, tickets.c.created_ms <= page.now)
    is_p1 = (tickets.c.priority == "P1", tickets.c.merged_into.is_(None))
    made, made_ids = _tickets(conn, *is_p1, *in_period)
    is_open = (tickets.c.status.in_(volume.OPEN_STATUSES),)
    still, still_ids = _tickets(conn, *is_p1, *is_open)
    if not made and not still:
        return ["No P1 came in and none is open."]
    said = [
        f"P1: {page.tickets(made, 'P1 created', 'summary.p1_created', made_ids)} came in{page.listed(made, made_ids)}."
    ]
    if still:
        number = page.say(still, "P1 open", "summary.p1_open", still_ids)
        said.append(f"P1 still open: {number}{page.listed(still, still_ids)}.")
    return said


def _deadlines(page: _Page, conn: Connection) -> None:
    now = attainment.sla(conn, page.since, page.now, now=page.now)
    before = attainment.sla(conn, page.before, page.since, now=page.now)
    if now.first_response.decided:
        met, decided = now.first_response.met, now.first_response.decided
        share = page.share(met, decided, "first response met", "attainment.sla")
        page.top.append(f"First responses in time: {share}.")
    said = [
        _attained(page, "First response", now.first_response, before.first_response),
        _attained(page, "Resolution", now.resolution, before.resolution),
    ]
    late, late_ids = _tickets(
        conn,
        tickets.c.queue_key.is_not(None),
        tickets.c.next_due_ms < page.now,
        tickets.c.paused_ms.is_(None),
        tickets.c.merged_into.is_(None),
        oldest_first=True,
    )
    if late:
        number = page.tickets(late, "open past their next deadline", "summary.overdue", late_ids)
        page.top.append(f"{number} {'is' if late == 1 else 'are'} past the next deadline now.")
        again = page.say(late, "open past their next deadline", "summary.overdue", late_ids)
        said.append(f"Past the next deadline now: {again}{page.listed(late, late_ids)}.")
    else:
        said.append("No open ticket is past its next deadline.")
    said += [_missed(page, name, target) for name, target in _with_misses(now)]
    page.section("Deadlines", said)


def _attained(page: _Page, name: str, target: Target, before: Target) -> str:
    label = name.lower()
    running = page.say(target.running, f"{label} still running", "attainment.sla")
    if not target.decided:
        return f"{name}: nothing decided yet, {running} still running."
    share = page.share(target.met, target.decided, f"{label} met", "attainment.sla")
    met = page.say(target.met, f"{label} met", "attainment.sla")
    decided = page.say(target.decided, f"{label} decided", "attainment.sla")
    said = f"{name}: met for {met} of {decided} ({share}), {running} still running"
    if not before.decided:
        return f"{said}."
    was = page.share(before.met, before.decided, f"{label} met in the period before", "attainment.sla")
    return f"{said}; in the period before: {was}."


def _with_misses(found: Attainment) -> list[tuple[str, Target]]:
    both = (("First responses", found.first_response), ("Resolutions", found.resolution))
    return [(name, target) for name, target in both if target.missed]


def _missed(page: _Page, name: str, target: Target) -> str:
    missed = {priority: score.missed for priority, score in target.by_priority.items() if score.missed}
    parts = (f"{k} {page.say(v, f'{name.lower()} missed, {k}', 'attainment.sla')}" for k, v in missed.items())
    return f"{name} missed: {', '.join(parts)}."


def _blockers(page: _Page, trends: blockers.Trends) -> None:
    said = [_blocker(page, found) for found in (*trends.tags, *trends.categories)]
    for kind, more in (("tags", trends.more_tags), ("categories", trends.more_categories)):
        if more:
            said.append(
                f"{page.say(more, f'{kind} that recur and are not listed', 'blockers.trends')} more {kind} recur."
            )
    if not said:
        least = page.say(blockers.RECURS, "tickets from which on a tag or category recurs", "blockers.RECURS")
        said.append(f"No tag or category came up on {least} tickets or more.")
    for first in (trends.tags or trends.categories)[:1]:
        count = page.tickets(first.count, f"{first.kind} {_name(first.name)}", "blockers.trends", first.tickets)
        page.top.append(f"Most often came {_name(first.name)}: {count}.")
    page.section("What recurs", said)


def _blocker(page: _Page, found: Blocker) -> str:
    name = _name(found.name)
    count = page.tickets(found.count, f"{found.kind} {name}", "blockers.trends", found.tickets)
    before = page.say(found.previous, f"{found.kind} {name} in the period before", "blockers.trends")
    moved = "up from" if found.change > 0 else "down from" if found.change < 0 else "as before:"
    return f"{found.kind.capitalize()} {name}: {count}, {moved} {before}{page.listed(found.count, found.tickets)}."


# -- alerts, spend, people ---------------------------------------------------------------------------------------------


def _incidents(page: _Page, conn: Connection) -> None:
    arrived = conn.execute(
        select(func.count()).where(alerts.c.arr_ms > page.since, alerts.c.arr_ms <= page.now)
    ).scalar_one()
    opened, opened_ids = _incident_ids(conn, incidents.c.opened_ms > page.since, incidents.c.opened_ms <= page.now)
    still, still_ids = _incident_ids(conn, incidents.c.state.in_(["open", "acknowledged"]))
    if not arrived and not opened and not still:
        return page.section("Incidents", ["No alert came in and no incident is open."])
    count = page.say(arrived, "alerts received", "summary.alerts")
    number = page.say(opened, "incidents opened", "summary.incidents_opened", opened_ids)
    said = [f"Alerts received: {count}. Incidents opened: {number}{page.listed(opened, opened_ids)}."]
    if arrived > opened:
        share = page.share(arrived - opened, arrived, "noise reduction", "1 - incidents opened / alerts received")
        said.append(f"Noise reduction: {share}.")
        page.top.append(_folded(page, arrived, opened))
    open_now = page.say(still, "incidents open", "summary.incidents_open", still_ids)
    said.append(f"Open now: {open_now}{page.listed(still, still_ids)}.")
    return page.section("Incidents", said)


def _folded(page: _Page, arrived: int, opened: int) -> str:
    count = page.say(arrived, "alerts received", "summary.alerts")
    number = page.say(opened, "incidents opened", "summary.incidents_opened")
    return f"{count} alerts came down to {number} {'incident' if opened == 1 else 'incidents'}."


def _spend(page: _Page, conn: Connection) -> None:
    used = ledger.usage(conn, page.since, page.now)
    if not used.calls:
        return page.section("AI spend", ["No reading or draft was made."])
    calls = page.say(used.calls, "readings and drafts", "ledger.usage")
    cost = page.say(f"${used.cost_usd:.4f}", "AI cost", "ledger.usage")
    each = page.say(f"${used.cost_per_ticket_usd:.5f}", "AI cost per ticket", "ledger.usage")
    said = [f"Calls: {calls}, {cost} in all, {each} a ticket."]
    return page.section("AI spend", said + [_line(page, line) for line in used.lines[:_SHOWN_BLOCKERS]])


def _line(page: _Page, line: ledger.Line) -> str:
    name = f"{_name(line.operation)} by {_name(line.model)}"
    calls = page.say(line.calls, f"{name}: calls", "ledger.usage")
    cost = page.say(f"${line.cost_usd:.4f}", f"{name}: cost", "ledger.usage")
    usual = page.say(f"{line.latency_p50_ms:.0f} ms", f"{name}: median latency", "ledger.usage")
    slow = page.say(f"{line.latency_p95_ms:.0f} ms", f"{name}: latency at the 95th percentile", "ledger.usage")
    return f"{name}: calls {calls}, cost {cost}, median latency {usual}, slowest twentieth from {slow}."


def _waiting(page: _Page, conn: Connection) -> None:
    said = []
    for status, meaning in (("human_review", "In human review"), ("escalated", "Escalated")):
        number, found = _tickets(conn, tickets.c.status == status, tickets.c.merged_into.is_(None), oldest_first=True)
        if number:
            shown = page.tickets(number, meaning.lower(), f"summary.{status}", found)
            said.append(f"{meaning}: {shown}{page.listed(number, found)}.")
    said += _messages(page, conn)
    page.section("Waiting for a person", said or ["Nothing waits for a person."])


def _messages(page: _Page, conn: Connection) -> list[str]:
    table = proposals_table.c
    is_new = or_(table.outcome.is_(None), table.outcome == "pending")
    is_unsigned = and_(table.asked == "send", or_(is_new, table.outcome == "expired"))
    said = []
    for meaning, query, condition in (
        ("Messages that wait for a signature", "summary.unsigned", is_unsigned),
        ("Messages on hold", "summary.held", or_(table.outcome == "held", and_(table.asked == "hold", is_new))),
        ("Messages that may or may not have left", "summary.uncertain", table.outcome == "uncertain"),
    ):
        number, oldest = conn.execute(select(func.count(), func.min(table.created_ms)).where(condition)).one()
        if number:
            found = _numbers(conn, "PR", table.id, condition, table.id)
            shown = page.say(number, meaning, query, found)
            age = page.say(human_span(page.now - oldest), f"{meaning}: age of the oldest", query)
            said.append(f"{meaning}: {shown}, the oldest for {age}{page.listed(number, found)}.")
            page.top.append(f"{meaning}: {page.say(number, meaning, query, found)}.")
    if said and not proposals.gate_state(conn, now=page.now).running:
        said.append("The gate is not running: no message can leave until a person starts it.")
    return said


# -- small things ------------------------------------------------------------------------------------------------------


def _tickets(
    conn: Connection, *conditions: ColumnElement[bool], oldest_first: bool = False
) -> tuple[int, tuple[str, ...]]:
    number = conn.execute(select(func.count()).select_from(tickets).where(*conditions)).scalar_one()
    order = tickets.c.id if oldest_first else tickets.c.id.desc()
    return number, _numbers(conn, "T", tickets.c.id, and_(*conditions), order)


def _incident_ids(conn: Connection, *conditions: ColumnElement[bool]) -> tuple[int, tuple[str, ...]]:
    condition = and_(incidents.c.merged_into.is_(None), *conditions)
    number = conn.execute(select(func.count()).select_from(incidents).where(condition)).scalar_one()
    return number, _numbers(conn, "INC", incidents.c.id, condition, incidents.c.id.desc())


def _numbers(
    conn: Connection, kind: str, column: Column[int], condition: ColumnElement[bool], order: ColumnElement[int]
) -> tuple[str, ...]:
    rows = conn.execute(select(column).where(condition).order_by(order).limit(_SHOWN_IDS))
    return tuple(ids.shown(kind, row[0]) for row in rows)


def _name(name: str) -> str:
    """Return a tag, category or model as a Markdown code span: inside one nothing links, shouts or ends the line."""
    kept = " ".join(_NOT_IN_A_NAME.sub("", name).split())
    return f"`{kept or volume.NONE}`"
