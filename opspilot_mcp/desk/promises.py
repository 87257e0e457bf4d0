"""Open tickets are held to the policy in force: computed anew, once, when its minutes, hours or holidays change."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from opspilot_mcp.desk import sla, tickets
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit, canonical
from opspilot_mcp.store.bulk import upsert
from opspilot_mcp.store.schema import desk_state
from opspilot_mcp.store.schema import tickets as rows

_BATCH = 500
_NAME = "promises"
_KNOWN = select(desk_state.c.body).where(desk_state.c.name == _NAME)
_COMPUTED = ("first_response_due_ms", "resolution_due_ms", "next_due_ms", "queue_key")
_READ = (
    *("id", "status", "priority", "created_ms", "responded_ms", "resolved_ms", "paused_ms", "pauses"),
    *_COMPUTED,
)
_OPEN = (
    select(*(rows.c[name] for name in _READ))
    .where(rows.c.queue_key.is_not(None), rows.c.id > bindparam("after"))
    .order_by(rows.c.id)
    .limit(_BATCH)
)
_HOLD = update(rows).where(rows.c.id == bindparam("number")).values({name: bindparam(name) for name in _COMPUTED})


class Held(NamedTuple):
    """How far one batch came: the last ticket's number, None when all are done; and how many it changed."""

    last: int | None
    changed: int


def mark(policy: Policy) -> str:
    """Return what names everything in a policy that a due instant depends on."""
    promised: dict[str, object] = {
        name: {
            "minutes": [promise.first_response_minutes, promise.resolution_minutes],
            "calendar": policy.calendars[promise.calendar].model_dump(mode="json") if promise.calendar else None,
        }
        for name, promise in policy.sla.items()
    }
    return canonical.sha256(canonical.text(promised).encode())


def are_held(conn: Connection, policy: Policy) -> bool:
    """Return whether the open tickets were computed with what this policy promises."""
    return conn.execute(_KNOWN).scalar() == mark(policy)


def hold(conn: Connection, policy: Policy, *, after: int) -> Held:
    """Compute the clock of the next 500 open tickets past number `after` anew.

    A ticket's version stays: nobody changed what it says, and an editor or a proposal must not be told so.
    """
    found = conn.execute(_OPEN, {"after": after}).mappings().all()
    changed = []
    for row in found:
        computed = _computed({**row}, policy)
        if any(row[name] != value for name, value in computed.items()):
            changed.append({"number": row["id"], **computed})
    if changed:
        conn.execute(_HOLD, changed)
    return Held(found[-1]["id"] if len(found) == _BATCH else None, len(changed))


def _computed(row: Mapping[str, Any], policy: Policy) -> dict[str, int | None]:
    waited = [(start, end) for start, end in json.loads(row["pauses"] or "[]")]
    due = sla.targets(row["created_ms"], row["priority"], policy, waited, responded_ms=row["responded_ms"]).model_dump()
    if row["responded_ms"] is not None:
        # The promise it was answered under was kept or not: another policy does not change that.
        due["first_response_due_ms"] = row["first_response_due_ms"]
    return {**due, **tickets.placed({**row, **due})}


def settle(conn: Connection, policy: Policy, *, changed: int, actor: str, now: int) -> None:
    """Remember that open tickets are held to this policy, and say in the audit how many that changed."""
    known = conn.execute(_KNOWN).scalar()
    if known == mark(policy):
        return  # another process was first
    conn.execute(upsert(desk_state), {"name": _NAME, "body": mark(policy)})
    if known is not None or changed:
        audit.record(conn, actor, "promises.changed", "policy", now=now, detail={"tickets": changed})
