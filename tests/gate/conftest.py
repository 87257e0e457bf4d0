"""A home with a real desk and a real gate in tmp_path. Time is given; only channels talk to fake wires."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from opspilot_mcp import proposals
from opspilot_mcp.gate import approvers, canonical, keys, service
from opspilot_mcp.gate.approvers import Session
from opspilot_mcp.gate.decisions import Decision
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store import ids
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.schema import DESK, incidents, replies, requesters, tickets

NOON = 1_795_262_400_000  # 2026-11-21T12:00:00Z
MINUTE = 60_000
HOUR = 60 * MINUTE
PASSPHRASE = "correct horse battery staple"


def add_ticket(conn: Connection, *, address: str, verified: bool, body: str, external: str | None = None) -> int:
    known = conn.execute(select(requesters.c.id).where(requesters.c.address == address)).scalar()
    requester = (
        known
        or conn.execute(
            insert(requesters).values(address=address, name="Mira", created_ms=NOON).returning(requesters.c.id)
        ).scalar_one()
    )
    return int(
        conn.execute(
            insert(tickets)
            .values(
                version=1,
                source="import",
                external_id=external,
                subject="Cannot log in",
                body=body,
                requester_id=requester,
                requester_verified=verified,
                status="open",
                escalate=False,
                created_ms=NOON,
                updated_ms=NOON,
                breached="",
            )
            .returning(tickets.c.id)
        ).scalar_one()
    )


def add_incident(conn: Connection, *, key: str = "inc-1") -> int:
    return int(
        conn.execute(
            insert(incidents)
            .values(
                version=1,
                key=key,
                state="open",
                title="db-1 is down",
                severity="critical",
                tier="L2",
                pages=True,
                cluster="eu",
                env="prod",
                opened_ms=NOON,
                last_event_ms=NOON,
                alert_count=3,
                root_candidates="[]",
            )
            .returning(incidents.c.id)
        ).scalar_one()
    )


@dataclass
class House:
    """One installation: the desk as the agents' process writes it, and the gate beside it."""

    root: Path
    desk: Db
    gate: Gate
    keys: dict[str, Session] = field(default_factory=dict)

    async def ticket(
        self, *, address: str = "mira@example.org", verified: bool = True, body: str = "My order A-1042 is stuck"
    ) -> int:
        return await self.desk.write(add_ticket, address=address, verified=verified, body=body)

    async def reply(
        self,
        ticket: int | None = None,
        *,
        body: str = "Please try again now.",
        title: str = "Re: Cannot log in",
        principal: str = "agent:claude",
        channel: str = "replies",
        now: int = NOON,
        sync: bool = True,
    ) -> str:
        """Propose a reply as a room does; returns PR-..."""
        ticket = await self.ticket() if ticket is None else ticket
        requester = await self.desk.read(
            lambda conn: conn.execute(select(tickets.c.requester_id).where(tickets.c.id == ticket)).scalar_one()
        )
        new = proposals.NewProposal(
            kind="reply",
            subject=ids.shown("T", ticket),
            subject_version=1,
            requester_id=requester,
            channel=channel,
            title=title,
            body=body,
        )
        return await self._propose(new, principal, now, sync)

    async def page(
        self,
        *,
        channel: str = "oncall",
        title: str = "db-1 is down",
        body: str = "Primary database does not answer.",
        principal: str = "agent:claude",
        now: int = NOON,
        key: str = "inc-1",
        sync: bool = True,
    ) -> str:
        """Propose a page to an alias; returns PR-..."""
        incident = await self.desk.write(add_incident, key=key)
        new = proposals.NewProposal(
            kind="page",
            subject=ids.shown("INC", incident),
            subject_version=1,
            requester_id=None,
            channel=channel,
            title=title,
            body=body,
        )
        return await self._propose(new, principal, now, sync)

    async def _propose(self, new: proposals.NewProposal, principal: str, now: int, sync: bool) -> str:
        made, _ = await self.desk.write(proposals.propose, new, principal=principal, now=now, per_hour=10_000)
        if sync:
            await self.gate.sync(now=now)
        return made.id

    async def approve(
        self, message_id: str, who: str = "ana", *, now: int = NOON, fresh: bool = True, typed: str | None = "shown"
    ) -> Decision:
        """Look at a message and sign it, typing the recipient as shown."""
        view = await self.gate.view(message_id)
        return await self.gate.approve_as(
            self.session(who, now),
            message_id,
            shown_sha256=view.message.sha256,
            fresh=fresh,
            typed_recipient=view.message.recipient if typed == "shown" else typed,
            now=now,
        )

    def session(self, who: str, now: int = NOON) -> Session:
        """Return a session opened at `now` with the person's key."""
        pair = self.keys[who].pair
        return Session(who, pair, opened_ms=now, used_ms=now)

    async def add_approver(self, name: str, *, now: int = NOON) -> None:
        """Register a second person through the room, without sealing a key file."""
        pair = keys.new_pair()
        root = self.gate.authority.root
        await self.gate.db.write(
            approvers.register,
            self.gate.home,
            root,
            name,
            pair.public,
            self.keys["ana"].pair,
            by="person:ana",
            now=now,
        )
        self.keys[name] = Session(name, pair, opened_ms=now, used_ms=now)

    async def tick(self, now: int = NOON) -> int:
        return await self.gate.tick(now=now)

    async def state(self, message_id: str) -> str:
        return (await self.gate.view(message_id)).message.state

    async def told(self, message_id: str) -> proposals.Proposal:
        """Return the proposal as the agent reads it."""
        return await self.desk.read(proposals.get, message_id)

    async def change_ticket(self, ticket: int, **values: Any) -> None:
        await self.desk.write(lambda conn: conn.execute(update(tickets).where(tickets.c.id == ticket).values(**values)))

    async def settings(self, text: str) -> None:
        """Replace gate.toml and open the gate anew, as a restart does."""
        self.gate.home.settings.write_text(text)
        await self.gate.close()
        self.gate = await Gate.open(self.root, now=NOON)

    def sent(self) -> dict[str, bytes]:
        """Return the files in the sent folder."""
        return {path.name: path.read_bytes() for path in sorted((self.root / "gate" / "sent").iterdir())}

    async def reopen(self, *, now: int = NOON) -> None:
        await self.gate.close()
        self.gate = await Gate.open(self.root, now=now)


async def make_house(root: Path) -> House:
    """Set up a home whose first approver is `ana`."""
    await service.init(root, "ana", PASSPHRASE, now=NOON)
    return await open_house(root)


async def open_house(root: Path) -> House:
    """Open a home that is set up."""
    desk = await Db(root / "desk.db", DESK).open()
    gate = await Gate.open(root, now=NOON)
    sealed = json.loads((root / "gate" / "approvers" / "ana.json").read_bytes())
    key_id = str(sealed["key_id"])
    if key_id not in _PAIRS:
        _PAIRS[key_id] = keys.unseal(sealed, PASSPHRASE, name="ana")
    pair = _PAIRS[key_id]
    return House(root, desk, gate, {"ana": Session("ana", pair, opened_ms=NOON, used_ms=NOON)})


_PAIRS: dict[str, keys.KeyPair] = {}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home set up once and copied for each test: scrypt and the migrations cost a second."""
    root = tmp_path_factory.mktemp("template") / "home"

    async def make() -> None:
        made = await make_house(root)
        await made.gate.close()
        await made.desk.close()

    asyncio.run(make())
    return root


@pytest.fixture
async def house(tmp_path: Path, template: Path) -> AsyncIterator[House]:
    """A home with one approver, and the assurance invariant checked over everything that was sent."""
    root = Path(shutil.copytree(template, tmp_path / "home"))
    made = await open_house(root)
    yield made
    check_invariant(made.root)
    await made.gate.close()
    await made.desk.close()


def check_invariant(root: Path, wires: list[bytes] | None = None) -> None:
    """Every byte string that reached a sink has one good signature, and left once."""
    raw = sqlite3.connect(root / "gate" / "gate.db")
    rows = raw.execute("SELECT payload, signature, key_id FROM approvals").fetchall()
    public = dict(raw.execute("SELECT key_id, public_key FROM approvers"))
    raw.close()
    signed = {
        json.loads(payload)["sha256"]
        for payload, signature, key_id in rows
        if key_id in public and keys.verifies(keys.unb64(public[key_id]), "opspilot.approval.v1", payload, signature)
    }
    on_wire = [path.read_bytes() for path in (root / "gate" / "sent").iterdir() if not path.name.startswith(".")]
    on_wire += wires or []
    digests = [canonical.sha256(one) for one in on_wire]
    assert set(digests) <= signed, "unsigned bytes were sent"
    assert len(digests) == len(set(digests)), "a message left twice"


def reply_row(conn: Connection, ticket: int, body: str) -> None:
    conn.execute(insert(replies).values(ticket_id=ticket, direction="in", body=body, at_ms=NOON))
