"""What a person decides about which alerts belong together: merge and split, which correlation respects from then on.

Both are kept in the audit and void a page that was written before. An incident that still grows is regrouped inside
the engine too, so that the next alert goes where the person said.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, update

from opspilot_mcp.aiops import alerts, correlator, folding, incidents
from opspilot_mcp.aiops.correlator import Correlator
from opspilot_mcp.aiops.incidents import Incident
from opspilot_mcp.aiops.runbooks import Runbook
from opspilot_mcp.aiops.topology import Topology
from opspilot_mcp.errors import IllegalMove, InvalidInput
from opspilot_mcp.store import audit
from opspilot_mcp.store import schema as tables

_PAGE = 1_000


def merge(
    conn: Connection, loser_id: str, survivor_id: str, *, actor: str, now: int, books: Sequence[Runbook] = ()
) -> Incident:
    """Move every alert of one incident to another, for good; returns the survivor.

    Raises IllegalMove when either was merged already, when they lie in different clusters or environments, or when
    only the loser can still grow: its next alerts would open a third.
    """
    loser, survivor = incidents.get(conn, loser_id), incidents.get(conn, survivor_id)
    held = correlator.load(conn)
    _check_merge(loser, survivor, held)
    if loser.key in held.numbers:
        held.engine.merge(loser.key, survivor.key)
    woken = folding.join(conn, [(loser.number, survivor.number)])
    _bump(conn, [survivor.number])
    _settle(conn, held, [survivor.number], woken, now=now, books=books)
    audit.record(conn, actor, "incident.merged", loser.id, now=now, detail={"into": survivor.id})
    audit.record(conn, actor, "incident.took_over", survivor.id, now=now, detail={"from": loser.id})
    return incidents.get(conn, survivor.id)


def _check_merge(loser: Incident, survivor: Incident, held: Correlator) -> None:
    if loser.number == survivor.number:
        raise InvalidInput(f"{loser.id} cannot be merged into itself. Name two incidents.")
    for one in (loser, survivor):
        if one.state == "merged":
            raise IllegalMove(f"{one.id} was merged already. get_incident names the one that holds its alerts.")
    if (loser.cluster, loser.env) != (survivor.cluster, survivor.env):
        raise IllegalMove(f"{loser.id} and {survivor.id} lie in different clusters or environments. Leave them apart.")
    if loser.key in held.numbers and survivor.key not in held.numbers:
        raise IllegalMove(f"{survivor.id} is over and takes no more alerts. Merge it into {loser.id} instead.")


def split(
    conn: Connection,
    incident_id: str,
    entities: Collection[str],
    *,
    actor: str,
    now: int,
    books: Sequence[Runbook] = (),
) -> Incident:
    """Move the alerts at `entities` (services, or hosts without one) to a new incident; returns the new one.

    The two are never merged by correlation again. Raises InvalidInput when the entities hold none or all of the
    alerts, IllegalMove for a merged incident.
    """
    whole = incidents.get(conn, incident_id)
    if whole.state == "merged":
        raise IllegalMove(f"{whole.id} was merged. get_incident names the one that holds its alerts.")
    held = correlator.load(conn)
    moved = _members(conn, whole, frozenset(entities), held.engine.topology)
    key = f"{whole.key}.{whole.version}"  # the version counts every split, so the key is new each time
    number = _open(conn, whole, key)
    if held.engine.split(whole.key, sorted(entities), key):
        held.numbers[key] = number
    for start in range(0, len(moved), _PAGE):
        some = tables.alerts.c.id.in_(moved[start : start + _PAGE])
        conn.execute(update(tables.alerts).where(some).values(incident_id=number))
    _bump(conn, [whole.number])
    _settle(conn, held, [whole.number, number], {}, now=now, books=books)
    new = incidents.by_number(conn, [number])[0]
    audit.record(conn, actor, "incident.split", whole.id, now=now, detail={"off": new.id, "alerts": len(moved)})
    audit.record(conn, actor, "incident.opened", new.id, now=now, detail={"from": whole.id})
    return new


def _members(conn: Connection, whole: Incident, entities: frozenset[str], topology: Topology) -> list[int]:
    """Return the rows of the alerts at these entities."""
    moved: list[int] = []
    after = left = 0
    while page := alerts.of_incident(conn, whole.number, limit=_PAGE, after=after):
        chosen = [row for row, alert in page if topology.subject(alert).entity in entities]
        moved += chosen
        left += len(page) - len(chosen)
        after = page[-1][0]
    if not moved or not left:
        amount = "none" if not moved else "all"
        raise InvalidInput(
            f"The names given hold {amount} of the alerts of {whole.id}. get_incident shows where they are."
        )
    return moved


def _open(conn: Connection, whole: Incident, key: str) -> int:
    columns = ("title", "severity", "tier", "pages", "cluster", "env", "opened_ms", "last_event_ms")
    values: dict[str, Any] = {name: getattr(whole, name) for name in columns}
    values |= {"key": key, "version": 1, "state": "open", "alert_count": 0, "root_candidates": "[]"}
    statement = insert(tables.incidents).values(**values).returning(tables.incidents.c.id)
    number: int = conn.execute(statement).scalar_one()
    return number


def _bump(conn: Connection, numbers: Sequence[int]) -> None:
    table = tables.incidents
    conn.execute(update(table).where(table.c.id.in_(numbers)).values(version=table.c.version + 1))


def _settle(
    conn: Connection,
    held: Correlator,
    numbers: Sequence[int],
    woken: dict[int, int],
    *,
    now: int,
    books: Sequence[Runbook],
) -> None:
    """Write what the engine knows of the regrouped incidents, and count those it has forgotten."""
    views = held.views()
    told = folding.Told(fired=woken, ended={}, touched=(), regrouped=frozenset(numbers))
    folding.write(conn, views, told, books)
    for number in numbers:
        if number not in views:
            _recount(conn, number)
    correlator.save(conn, held, now=now)


def _recount(conn: Connection, number: int) -> None:
    """Set what an incident's alerts say of it, where the engine no longer knows it."""
    table = tables.alerts
    gravest = func.max(case(folding.RANKS, value=table.c.severity, else_=0))
    query = select(func.count(), func.min(table.c.ts_ms), func.max(table.c.ts_ms), gravest)
    count, first_ms, last_ms, rank = conn.execute(query.where(table.c.incident_id == number)).one()
    services = select(table.c.service).where(table.c.incident_id == number, table.c.service.is_not(None)).distinct()
    names = sorted(conn.execute(services).scalars())
    folding.write_services(conn, {number: names})
    conn.execute(
        update(tables.incidents)
        .where(tables.incidents.c.id == number)
        .values(
            alert_count=count,
            opened_ms=first_ms,
            last_event_ms=last_ms,
            severity=tuple(folding.RANKS)[rank],
            recovered_ms=folding.recovery(conn, [number]).get(number),
        )
    )
