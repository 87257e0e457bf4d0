"""Tools for alerts and incidents: fold a storm, read its few causes, work a runbook. None reaches anybody outside."""

from typing import Annotated, Any, Literal

from fastmcp import Context
from pydantic import Field
from sqlalchemy import Connection

from opspilot_mcp import proposals
from opspilot_mcp.aiops import flow, incidents, runbooks, timeline
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.runbooks import Runbook
from opspilot_mcp.clock import iso, iso_or_none
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights import impact
from opspilot_mcp.tools import answers, untrusted
from opspilot_mcp.tools.answers import Link, LinkRow
from opspilot_mcp.tools.approval_answers import ApprovalRow, approval_row
from opspilot_mcp.tools.desk import Version
from opspilot_mcp.tools.protocol import Answer, Spec, app_of

LINKS = 20
IncidentId = Annotated[str, Field(description="Like INC-3", max_length=20)]


class IngestAnswer(Answer):
    stored: int
    repeated: int
    flagged: int
    untrusted_rejected: list[str] | None  # a reason may quote the alert
    next: str


class CorrelateAnswer(Answer):
    """What a fold did. Read `reduction` only beside pages and unexplained."""

    alerts: int
    opened: list[str]
    extended: list[str]
    merged: list[str] | None
    resolved: list[str] | None
    suppressed: dict[str, int]
    waiting: int
    incidents: int
    pages: int
    unexplained: int
    reduction: float
    next: str


class Cause(Answer):
    """A likely cause."""

    untrusted_entity: str
    score: float
    untrusted_why: str


class IncidentRow(Answer):
    id: str
    untrusted_title: str | None
    state: str
    severity: str
    tier: str
    pages: bool
    alerts: int
    opened: str
    last_event: str
    runbook: str | None
    untrusted_top_cause: str | None


class IncidentsAnswer(Answer):
    incidents: list[IncidentRow]
    matching: str
    next_cursor: str | None


class MemberRow(Answer):
    """One condition: an alert and its repeats, with the reason it is in this incident."""

    untrusted_alert: str
    severity: str
    status: str
    alerts: int
    first: str
    kind: str | None
    hops: int | None
    seconds: float | None
    score: float | None
    untrusted_why: str | None
    also_explained_by: list[str] | None


class EventRow(Answer):
    at: str
    what: str
    actor: str | None
    untrusted_text: str | None


class IncidentAnswer(Answer):
    id: str
    version: int
    state: str
    severity: str
    tier: str
    pages: bool
    untrusted_title: str | None
    untrusted_services: list[str]
    opened: str
    last_event: str
    acknowledged: str | None
    resolved: str | None
    merged_into: str | None
    alerts: int
    causes: list[Cause] | None
    members: list[MemberRow]
    members_left_out: int | None
    timeline: list[EventRow] | None
    runbook: str | None
    steps_done: list[int] | None
    explains: list[LinkRow] | None
    explains_left_out: int | None
    may_explain: list[Link] | None
    approvals: list[ApprovalRow] | None


class IncidentChange(Answer):
    result: str
    id: str
    version: int
    state: str
    next: str | None


class RunbookAnswer(Answer):
    slug: str
    title: str
    steps: list[str]
    done: list[int] | None


async def ingest_alerts(
    ctx: Context,
    alerts: Annotated[
        list[dict[str, Any]], Field(description="As the monitor sent them", min_length=1, max_length=1000)
    ],
    format: Annotated[str | None, Field(description="Left out: recognised by shape", max_length=40)] = None,
) -> IngestAnswer:
    """Store alerts in any known format (Alertmanager, Grafana, PagerDuty ...). Twice is once. Then correlate_alerts."""
    app = app_of(ctx)
    await app.sweep()
    got = await flow.ingest(app.db, alerts, actor=app.principal, now=app.now(), source=format)
    return IngestAnswer(
        stored=got.stored,
        repeated=got.repeated,
        flagged=got.flagged,
        untrusted_rejected=[f"alert {one.index}: {one.reason}" for one in got.rejected[:20]] or None,
        next="correlate_alerts folds them into incidents.",
    )


async def correlate_alerts(ctx: Context) -> CorrelateAnswer:
    """Fold what is new into the few incidents under it. Answers incidents, noise reduction, what stays unexplained."""
    app = app_of(ctx)
    await app.sweep()
    done = await flow.correlate(app.db, actor=app.principal, now=app.now(), books=app.runbooks)
    return CorrelateAnswer(
        alerts=done.alerts,
        opened=list(done.opened),
        extended=list(done.extended),
        merged=[f"{lost} into {kept}" for lost, kept in done.merged] or None,
        resolved=list(done.resolved) or None,
        suppressed=done.suppressed,
        waiting=done.waiting,
        **done.noise.model_dump(include={"incidents", "pages", "unexplained", "reduction"}),
        next="get_incident shows causes and reasons." if done.alerts else "Nothing new to fold.",
    )


async def list_incidents(
    ctx: Context,
    state: Literal["active", "open", "acknowledged", "resolved", "all"] = "active",
    service: Annotated[str | None, Field(max_length=256)] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Field(max_length=40)] = None,
) -> IncidentsAnswer:
    """Incidents, the latest event first."""
    app = app_of(ctx)
    states: dict[str, tuple[incidents.State, ...]] = {
        "active": incidents.ACTIVE,
        "open": ("open",),
        "acknowledged": ("acknowledged",),
        "resolved": ("resolved",),
        "all": ("open", "acknowledged", "resolved", "merged"),
    }
    page = await app.read(incidents.find, states=states[state], service=service, cursor=cursor, limit=limit)
    return IncidentsAnswer(
        incidents=[incident_row(one) for one in page.incidents],
        matching=f"over {incidents.COUNT_UP_TO}" if page.matching is None else str(page.matching),
        next_cursor=page.next_cursor,
    )


def incident_row(one: Incident) -> IncidentRow:
    """Return one line about an incident."""
    top = one.root_candidates[0].entity if one.root_candidates else None
    return IncidentRow(
        id=one.id,
        untrusted_title=untrusted.line(one.title, 100),
        state=one.state,
        severity=one.severity,
        tier=one.tier,
        pages=one.pages,
        alerts=one.alert_count,
        opened=iso(one.opened_ms),
        last_event=iso(one.last_event_ms),
        runbook=one.runbook,
        untrusted_top_cause=untrusted.line(top, 80),
    )


async def get_incident(
    ctx: Context, incident_id: IncidentId, members: Annotated[int, Field(ge=1, le=200)] = 10
) -> IncidentAnswer:
    """One incident: likely causes, members with the reason each is in it, timeline, runbook, tickets it explains."""
    app = app_of(ctx)
    return await app.read(incident_page, incident_id, members=members)


def incident_page(conn: Connection, incident_id: str, *, members: int = 50) -> IncidentAnswer:
    """Return an incident as a model sees it."""
    one = incidents.get(conn, incident_id)
    told = timeline.members(conn, one, limit=members)
    events = timeline.events(conn, one, told.members, limit=15)
    linked, suggested = impact.links_of_incident(conn, one.id), impact.tickets_of(conn, one.id, limit=5)
    return IncidentAnswer(
        **one.model_dump(include={"version", "state", "severity", "tier", "pages", "runbook"}),
        id=one.id,
        untrusted_title=untrusted.line(one.title),
        untrusted_services=[untrusted.line(name, 80) or "" for name in one.services[:20]],
        opened=iso(one.opened_ms),
        last_event=iso(one.last_event_ms),
        acknowledged=iso_or_none(one.acknowledged_ms),
        resolved=iso_or_none(one.resolved_ms),
        merged_into=f"INC-{one.merged_into}" if one.merged_into else None,
        alerts=one.alert_count,
        causes=[_cause(root) for root in one.root_candidates[:3]] or None,
        members=[_member(member) for member in told.members],
        members_left_out=max(0, told.total - len(told.members)) or None,
        timeline=[_event(event) for event in events] or None,
        steps_done=[step.step for step in runbooks.ticked(conn, one.number, one.runbook)] or None,
        explains=[answers.link_row(made.ticket, made) for made in linked[:LINKS]] or None,
        explains_left_out=max(0, len(linked) - LINKS) or None,
        may_explain=[answers.link(made.ticket, made) for made in suggested.suggestions] or None,
        approvals=[approval_row(made) for made in proposals.of_subject(conn, one.id, limit=5)] or None,
    )


def _cause(root: incidents.Root) -> Cause:
    return Cause(
        untrusted_entity=untrusted.line(root.entity, 80) or "",
        score=root.score,
        untrusted_why=untrusted.line(root.why, 240) or "",
    )


def _member(member: timeline.Member) -> MemberRow:
    where = member.instance or member.service or member.host or "?"
    why = member.why
    return MemberRow(
        untrusted_alert=untrusted.line(f"{member.alertname} on {where}: {member.summary}", 140) or "",
        severity=member.severity,
        status=member.status,
        alerts=member.alerts,
        first=iso(member.first_ms),
        kind=why.kind if why else None,
        hops=why.hops if why else None,
        seconds=why.seconds if why else None,
        score=why.score if why else None,
        untrusted_why=untrusted.line(why.text, 200) if why else None,
        also_explained_by=list(member.also_explained_by) or None,
    )


def _event(event: timeline.Event) -> EventRow:
    words = " ".join(part for part in (event.name, event.text) if part)
    return EventRow(
        at=iso(event.at_ms), what=event.what, actor=event.actor, untrusted_text=untrusted.line(words, 120) or None
    )


async def update_incident(
    ctx: Context,
    incident_id: IncidentId,
    action: Literal["acknowledge", "resolve", "reopen", "note", "step_done", "link_ticket", "unlink_ticket"],
    note: Annotated[str | None, Field(description="For action note", max_length=20_000)] = None,
    step: Annotated[int | None, Field(description="For action step_done, from 1", ge=1, le=99)] = None,
    ticket_id: Annotated[str | None, Field(description="For link_ticket, unlink_ticket", max_length=20)] = None,
    expected_version: Version = None,
) -> IncidentChange:
    """Acknowledge, resolve or reopen an incident, add a note, tick a runbook step off, link a ticket it explains."""
    app = app_of(ctx)

    def work(conn: Connection) -> IncidentChange:
        if action == "note":
            return _note(conn, incident_id, note, actor=app.principal, now=app.now())
        if action == "step_done":
            return _step(conn, incident_id, step, books=app.runbooks, actor=app.principal, now=app.now())
        if action in ("link_ticket", "unlink_ticket"):
            return _link(conn, incident_id, ticket_id, link=action == "link_ticket", actor=app.principal, now=app.now())
        to: dict[str, incidents.State] = {"acknowledge": "acknowledged", "resolve": "resolved", "reopen": "open"}
        done = incidents.move(
            conn, incident_id, to[action], expected_version=expected_version, actor=app.principal, now=app.now()
        )
        return _resolved(conn, done) if action == "resolve" else _changed(done.status, done.incident)

    return await app.write(work)


def _note(conn: Connection, incident_id: str, note: str | None, *, actor: str, now: int) -> IncidentChange:
    if note is None:
        raise InvalidInput("Give the note's text in `note`.")
    incidents.add_note(conn, incident_id, note, actor=actor, now=now)
    return _changed("applied", incidents.get(conn, incident_id))


def _step(
    conn: Connection, incident_id: str, step: int | None, *, books: list[Runbook], actor: str, now: int
) -> IncidentChange:
    one = incidents.get(conn, incident_id)
    if step is None or one.runbook is None:
        raise InvalidInput("Give `step`, for an incident that has a runbook. get_incident shows both.")
    is_new = runbooks.tick(conn, one.number, runbooks.find(books, one.runbook), step, actor=actor, now=now)
    return _changed("applied" if is_new else "unchanged", one)


def _link(
    conn: Connection, incident_id: str, ticket_id: str | None, *, link: bool, actor: str, now: int
) -> IncidentChange:
    if ticket_id is None:
        raise InvalidInput("Give `ticket_id`. get_incident shows which tickets it may explain.")
    say = impact.confirm if link else impact.unlink
    is_new = say(conn, incident_id, ticket_id, by=actor, now=now)
    return _changed("applied" if is_new else "unchanged", incidents.get(conn, incident_id))


def _resolved(conn: Connection, done: incidents.Changed) -> IncidentChange:
    """Say whose tickets wait for the news that it is over."""
    told = _changed(done.status, done.incident)
    linked = impact.links_of_incident(conn, done.incident.id)
    if done.status == "conflict" or not linked:
        return told
    names = ", ".join(one.ticket for one in linked[:LINKS]) + (" ..." if len(linked) > LINKS else "")
    return told.model_copy(update={"next": f"{len(linked)} linked: {names}. propose_reply tells their requesters."})


def _changed(result: str, one: Incident) -> IncidentChange:
    told = f"Somebody changed {one.id} first. Read it with get_incident and decide again."
    return IncidentChange(
        result=result, id=one.id, version=one.version, state=one.state, next=told if result == "conflict" else None
    )


async def get_runbook(
    ctx: Context,
    slug: Annotated[str | None, Field(max_length=64)] = None,
    incident_id: Annotated[str | None, Field(description="Instead of a slug: its runbook", max_length=20)] = None,
) -> RunbookAnswer:
    """The steps of a runbook, by slug or of an incident, with those already done. The operator wrote it."""
    app = app_of(ctx)
    return await app.read(runbook_page, slug, incident_id, books=app.runbooks)


def runbook_page(conn: Connection, slug: str | None, incident_id: str | None, *, books: list[Runbook]) -> RunbookAnswer:
    """Return a runbook as a model sees it."""
    done: list[int] = []
    if incident_id is not None:
        one = incidents.get(conn, incident_id)
        slug = one.runbook
        if slug is None:
            known = ", ".join(book.slug for book in books[:20]) or "none"
            raise InvalidInput(f"No runbook matches {one.id}. Known: {known}.")
        done = [ticked.step for ticked in runbooks.ticked(conn, one.number, slug)]
    if slug is None:
        raise InvalidInput("Give slug or incident_id.")
    book = runbooks.find(books, slug)
    return RunbookAnswer(slug=book.slug, title=book.title, steps=list(book.steps), done=done or None)


TOOLS = (
    Spec(ingest_alerts, IngestAnswer, "INTERNAL", "aiops"),
    Spec(correlate_alerts, CorrelateAnswer, "INTERNAL", "aiops"),
    Spec(list_incidents, IncidentsAnswer, "READ", "aiops"),
    Spec(get_incident, IncidentAnswer, "READ", "aiops"),
    Spec(update_incident, IncidentChange, "INTERNAL", "aiops"),
    Spec(get_runbook, RunbookAnswer, "READ", "aiops"),
)
