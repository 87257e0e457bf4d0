"""Who hears of an incident: it climbs a tier inside the desk, and a page about it is proposed.

Nothing here tells anybody: a proposal waits for a person's signature.
"""

from typing import Literal, NamedTuple

from sqlalchemy import Connection

from opspilot_mcp import proposals, text
from opspilot_mcp.aiops import incidents
from opspilot_mcp.aiops.incidents import Incident, Tier
from opspilot_mcp.clock import iso
from opspilot_mcp.errors import IllegalMove, InvalidInput
from opspilot_mcp.policy import Policy
from opspilot_mcp.proposals import NewProposal, Proposal

CHANNEL = "oncall"
MAX_REASON = 1_000
_NAMED = 8  # services and candidates a page names before it counts the rest
_NEXT: dict[Tier, Tier] = {"L1": "L2", "L2": "L3"}


class Climbed(NamedTuple):
    """What became of an escalation, and the incident as it is now."""

    status: Literal["applied", "conflict"]
    incident: Incident


def climb(
    conn: Connection,
    incident_id: str,
    reason: str,
    *,
    actor: str,
    now: int,
    expected_version: int | None = None,
) -> Climbed:
    """Move an incident one tier up, the reason kept as a note. Nobody outside is told.

    Raises IllegalMove at L3, or when the incident is resolved or merged; InvalidInput for an empty reason.
    """
    before = incidents.get(conn, incident_id)
    if expected_version is not None and expected_version != before.version:
        return Climbed("conflict", before)
    _check_active(before)
    if before.tier not in _NEXT:
        raise IllegalMove(f"{before.id} is at L3, the top. post_escalation_alert asks a person to page somebody.")
    kept = _reason(reason)
    after = incidents.climb(conn, before, _NEXT[before.tier], actor=actor, now=now)
    incidents.add_note(conn, after.id, f"Escalated to {after.tier}: {kept}", actor=actor, now=now)
    return Climbed("applied", after)


def _check_active(incident: Incident) -> None:
    if incident.state not in incidents.ACTIVE:
        raise IllegalMove(f"{incident.id} is {incident.state}. Reopen it with update_incident first.")


def _reason(reason: str) -> str:
    kept, cut = text.cap(text.one_line(reason), MAX_REASON)
    if not kept:
        raise InvalidInput("The reason is empty. Say why the next tier should take it.")
    if cut:
        raise InvalidInput(f"The reason has {len(kept) + cut} characters, more than {MAX_REASON}. Shorten it.")
    return kept


def page(
    conn: Connection,
    incident_id: str,
    channel: str,
    message: str | None,
    *,
    actor: str,
    policy: Policy,
    now: int,
    idempotency_key: str | None = None,
) -> tuple[Proposal, bool]:
    """Propose a page about an incident to a channel alias; returns it and whether it is new. A person must sign it.

    Title and body are our sentences around names that monitors sent: strangers' text. Raises InvalidInput for an
    alias the policy lacks, IllegalMove for a merged incident.
    """
    proposals.check_channel(channel, policy)
    incident = incidents.get(conn, incident_id)
    if incident.state == "merged":
        raise IllegalMove(f"{incident.id} was merged. get_incident names the one that holds its alerts.")
    new = NewProposal(
        kind="page",
        subject=incident.id,
        subject_version=incident.version,
        requester_id=None,
        channel=channel,
        title=title(incident),
        body=body(incident, message),
    )
    per_hour = policy.limits.proposals_per_hour
    request = {"page": incident.id, "channel": channel, "message": message}
    return proposals.propose(
        conn, new, principal=actor, now=now, per_hour=per_hour, idempotency_key=idempotency_key, request=request
    )


def title(incident: Incident) -> str:
    """Return the page's one line: severity, id, and the incident's title (strangers' text)."""
    line = f"[{incident.severity}] {incident.id} {text.one_line(incident.title)}"
    return text.cap(line, proposals.MAX_TITLE)[0]


def body(incident: Incident, message: str | None) -> str:
    """Return the page's text: facts first, then what the proposer adds."""
    lines = [
        f"{incident.id}: {incident.severity}, {incident.state}, tier {incident.tier}.",
        f"What: {text.one_line(incident.title)}",
        f"Where: {_names([text.one_line(name) for name in incident.services])} "
        f"({text.one_line(incident.cluster)}, {text.one_line(incident.env)})",
        f"Since {iso(incident.opened_ms)}, last alert {iso(incident.last_event_ms)}, {_alerts(incident.alert_count)}.",
    ]
    if incident.root_candidates:
        lines.append("Likely causes, best first:")
        lines += [f"- {text.one_line(c.entity)}: {text.one_line(c.why)}" for c in incident.root_candidates[:3]]
    if incident.runbook:
        lines.append(f"Runbook: {incident.runbook}")
    if message and text.clean(message).strip():
        lines += ["", text.clean(message).strip()]
    return "\n".join(lines)


def _names(names: list[str]) -> str:
    more = len(names) - _NAMED
    return (", ".join(names[:_NAMED]) or "unknown") + (f" and {more} more" if more > 0 else "")


def _alerts(count: int) -> str:
    return "1 alert" if count == 1 else f"{count} alerts"
