"""The stored maps of the estate: each import is a row, the newest is in force, and none is ever changed."""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, insert, select

from opspilot_mcp.aiops.topology import Topology
from opspilot_mcp.errors import InvalidInput, quoted
from opspilot_mcp.store import audit
from opspilot_mcp.store.schema import topologies

MAX_BYTES = 50_000_000
EMPTY = Topology((), (), {}, {})

_NEWEST = select(topologies.c.id, topologies.c.sha256).order_by(topologies.c.id.desc()).limit(1)
_FIELDS = ("services", "calls", "instances", "hosts", "maintenance")
_KEPT = 4
# By content, not by row: several databases in one process may share a topology, and no row is ever changed.
_built: OrderedDict[str, Topology] = OrderedDict()


class Saved(NamedTuple):
    """The topology in force after an import. `is_new` is False when it said the same as the one before."""

    version: int
    is_new: bool
    services: int
    calls: int
    instances: int
    hosts: int


def save(conn: Connection, body: object, *, actor: str, now: int) -> Saved:
    """Check a topology and put it in force. Raises InvalidInput, naming the field, and changes nothing then.

    `body` is the decoded JSON or YAML: services, calls, instances, hosts, maintenance.
    """
    topology = Topology.from_json(body)
    told = body if isinstance(body, Mapping) else {}
    _check_says_something(told, topology)
    stored = json.dumps({name: told[name] for name in _FIELDS if name in told}, sort_keys=True, default=str)
    if len(stored) > MAX_BYTES:
        raise InvalidInput(f"The topology has over {MAX_BYTES:,} characters. Leave out what no alert names.")
    digest = hashlib.sha256(stored.encode()).hexdigest()
    newest = conn.execute(_NEWEST).first()
    if newest is not None and newest.sha256 == digest:
        return _saved(newest.id, topology, is_new=False)
    version = conn.execute(
        insert(topologies).values(body=stored, sha256=digest, at_ms=now).returning(topologies.c.id)
    ).scalar_one()
    _keep(digest, topology)
    audit.record(conn, actor, "topology.imported", "topology", now=now, detail={"version": version, "sha256": digest})
    return _saved(version, topology, is_new=True)


def _check_says_something(told: Mapping[object, object], topology: Topology) -> None:
    """Refuse a part nobody knows and a map of nothing: a typing error must not put an empty estate in force."""
    unknown = [name for name in told if name not in _FIELDS]
    if unknown:
        raise InvalidInput(f"The topology has no part {quoted(unknown[0])}. Its parts: {', '.join(_FIELDS)}.")
    if not (topology.services or topology.host_of):
        raise InvalidInput("The topology names no service and no host. Give at least `services`.")


def current(conn: Connection) -> Topology:
    """Return the topology in force; an empty one before the first import. The same object while it stays in force."""
    newest = conn.execute(_NEWEST).first()
    if newest is None:
        return EMPTY
    found = _built.get(newest.sha256)
    if found is None:
        body = conn.execute(select(topologies.c.body).where(topologies.c.id == newest.id)).scalar_one()
        found = Topology.from_json(json.loads(body))
    _keep(newest.sha256, found)
    return found


def _keep(digest: str, topology: Topology) -> None:
    _built[digest] = topology
    _built.move_to_end(digest)
    while len(_built) > _KEPT:
        _built.popitem(last=False)


def _saved(version: int, topology: Topology, *, is_new: bool) -> Saved:
    return Saved(
        version=version,
        is_new=is_new,
        services=len(topology.services),
        calls=sum(len(callees) for callees in topology.callees.values()),
        instances=len(topology.instances),
        hosts=len(topology.hosts),
    )
