"""A new gate: its folder, its first approver, the root that all later keys lead back to."""

import asyncio
from pathlib import Path

from sqlalchemy import Connection

from opspilot_mcp.errors import StoreUnusable
from opspilot_mcp.gate import approvers, audit, keys, state
from opspilot_mcp.gate import policy as gate_policy
from opspilot_mcp.gate.home import Home
from opspilot_mcp.gate.schema import GATE
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.files import write_private


async def init(root: Path, name: str, passphrase: str, *, now: int) -> str:
    """Set up a gate with its first approver; returns the key's id. Raises BadSetting when there is one already."""
    home = Home(root).make()
    if home.is_set_up() and await _has_state(home):
        raise StoreUnusable("The gate is set up already. `opspilot-mcp gate approver add` adds an approver.")
    approvers.check_name(name)
    pair, checkpoint_pair, instance = keys.new_pair(), keys.new_pair(), state.new_instance()
    await asyncio.to_thread(approvers.save_key, home, name, pair, passphrase)
    write_private(home.checkpoint_key, keys.raw(checkpoint_pair))
    approvers.pin_root(home, instance, pair, checkpoint_pair.public)
    if not home.settings.exists():
        write_private(home.settings, gate_policy.DEFAULT_TEXT.encode())
    db = await Db(home.gate_db, GATE).open()
    try:
        await db.write(_found, home, instance, name, pair, now=now)
        await checkpoint(db, audit.Checkpoints(home), now=now)
    finally:
        await db.close()
    return pair.key_id


def _found(conn: Connection, home: Home, instance: str, name: str, pair: keys.KeyPair, *, now: int) -> None:
    state.create(conn, instance, now=now)
    audit.record(conn, "gate", "gate.founded", "gate", now=now, detail={"instance": instance})
    root = approvers.load_root(home)
    approvers.register(conn, home, root, name, pair.public, pair, by=f"person:{name}", now=now)


async def _has_state(home: Home) -> bool:
    db = await Db(home.gate_db, GATE).open()
    try:
        await db.read(state.read)
    except StoreUnusable:
        return False
    finally:
        await db.close()
    return True


async def checkpoint(db: Db, checkpoints: audit.Checkpoints, *, now: int) -> None:
    """Repeat new audit rows in the signed file outside the database."""
    while rows := await db.read(audit.rows_after, checkpoints.last()[0]):
        await asyncio.to_thread(checkpoints.extend, rows, now=now)
