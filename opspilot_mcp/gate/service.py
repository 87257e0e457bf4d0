"""The gate as its doors use it: each method is one decision or one turn of the clock.

The terminal, the console and the dispatcher all stand on `Gate`. Only the process that calls `tick` ever touches a
channel or its secret.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection

from opspilot_mcp import clock, proposals
from opspilot_mcp.errors import OpsPilotError, StoreUnusable
from opspilot_mcp.gate import (
    approvers,
    audit,
    channels,
    decisions,
    deskside,
    keys,
    snapshots,
    state,
    taking,
    upkeep,
)
from opspilot_mcp.gate import policy as gate_policy
from opspilot_mcp.gate.approvers import Session
from opspilot_mcp.gate.decisions import Decision, View
from opspilot_mcp.gate.deskside import Desk, DeskChanged
from opspilot_mcp.gate.founding import checkpoint
from opspilot_mcp.gate.founding import init as init
from opspilot_mcp.gate.home import Home, file_id
from opspilot_mcp.gate.schema import GATE
from opspilot_mcp.gate.signatures import Authority
from opspilot_mcp.gate.snapshots import Message
from opspilot_mcp.gate.turns import Turns
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.trail import Verdict

P = ParamSpec("P")
T = TypeVar("T")

_MOST_BATCHES = 100


class GateReplaced(StoreUnusable):
    """The database is not the file any more that was opened; only a new start looks at the new one."""


class Gate:
    """An open gate. Make one with `Gate.open` or `open_gate`; every method is safe to cancel."""

    def __init__(self, home: Home, db: Db, authority: Authority) -> None:
        self.home, self.db, self.authority = home, db, authority
        self.desk = Desk(home.desk_db)
        self.checkpoints = audit.Checkpoints(home)
        self._file = file_id(home.gate_db)
        self._unanswerable: set[int] = set()
        self._is_refused = False
        self.turns = Turns(self)
        self.console = ""  # where people sign, told to the agents' side so that it can point them there
        self.wire = channels.Wire(home.gate, home.sent, frozenset(authority.policy.network.allow_private))

    @classmethod
    async def open(cls, root: Path, *, now: int | None = None) -> "Gate":
        """Open the gate of a home. Raises BadSetting or StoreUnusable with the next step."""
        home = Home(root)
        pinned = approvers.load_root(home)
        home.check()
        settings = gate_policy.load(home.settings)
        db = await Db(home.gate_db, GATE).open()
        gate = cls(home, db, Authority(home, pinned, settings))
        try:
            standing = await db.read(state.read)
            if standing.instance != pinned.instance:
                raise StoreUnusable(
                    "gate.db belongs to another gate. Restore the whole gate folder, not one file of it."
                )
            await gate.check_restored(now=clock.now_ms() if now is None else now)
        except BaseException:
            await gate.close()
            raise
        return gate

    async def close(self) -> None:
        """Close both databases."""
        await self.desk.close()
        await self.db.close()

    # -- between decisions ---------------------------------------------------------------------------------------------

    async def sync(self, *, now: int) -> int:
        """Snapshot new proposals, follow the desk, tell it the outcomes; returns how many were new.

        Raises StoreUnusable while there is no desk database.
        """
        taken = 0
        for _ in range(_MOST_BATCHES):
            batch = await self.take_new(now=now)
            taken += batch
            # What is answered does not come again.
            if batch < deskside.BATCH or await self.unless_refused(self.tell(now=now)):
                break
        await self.follow(now=now)
        await self.tell(now=now)
        return taken

    async def follow(self, *, now: int) -> None:
        """Take over what changed at the desk about messages that may still leave."""
        open_ones = await self.db.read(upkeep.open_proposals)
        if open_ones:
            looks = await self.desk.read(deskside.look_at, open_ones)
            if await self.db.read(upkeep.has_moved, looks):
                await self.db.write(upkeep.follow, looks, now=now)

    async def take_new(self, *, now: int) -> int:
        """Snapshot proposals not seen before; returns how many."""
        looks = await self.desk.read(deskside.unseen, skip=frozenset(self._unanswerable))
        if self._is_refused:  # they would come again and hide what is newer
            self._unanswerable |= {number for number, _ in looks}
        if looks:
            unreadable = await self.db.write(taking.take, looks, self.authority.policy, now=now)
            for number in unreadable:
                await self._answer_unreadable(number, now=now)
        return len(looks)

    async def _answer_unreadable(self, number: int, *, now: int) -> None:
        """Refuse a row the gate could not read; one too big even to be answered is left alone from now on."""
        try:
            await self.desk.write(upkeep.tell_unreadable, number, now=now)
        except StoreUnusable:
            self._unanswerable.add(number)

    async def tell(self, *, now: int) -> None:
        """Write outcomes and the heartbeat into the desk, and the checkpoint beside the database."""
        try:
            while told := await self.db.read(upkeep.unmirrored):
                await self.desk.write(upkeep.tell, told, now=now)
                await self.db.write(upkeep.set_mirrored, told)
                if len(told) < upkeep.MIRROR_BATCH:
                    break
        finally:
            await checkpoint(self.db, self.checkpoints, now=now)

    async def unless_refused(self, work: Awaitable[object]) -> DeskChanged | None:
        """Do what needs the desk's file; returns why, where somebody's code in it stands in the way."""
        try:
            await work
        except DeskChanged as refused:
            self._is_refused = True
            return refused
        self._is_refused = False
        return None

    async def beat(self, *, now: int) -> None:
        """Tell the desk that people's side runs."""
        standing = await self.db.read(state.read)
        detail = "quarantine" if standing.quarantine else self.console
        await self.desk.write(proposals.beat, now=now, killed=standing.killed_by is not None, detail=detail)

    async def check_restored(self, *, now: int) -> bool:
        """Quarantine the gate when its database is older than its checkpoints; True when it was.

        Raises GateReplaced.
        """
        self._check_file()
        last, last_hash = self.checkpoints.last()
        if not last:
            return False
        known = dict(await self.db.read(audit.rows_after, last - 1)).get(last)
        if known == last_hash:
            return False
        return await self.db.write(upkeep.check_restored, last, last_hash, now=now)

    def _check_file(self) -> None:
        """Raise GateReplaced when the file under our name is not the one that was opened.

        What is written to the old file from then on nobody would find again, and the new one may be from a backup.
        """
        if file_id(self.home.gate_db) != self._file:
            raise GateReplaced(
                "gate.db was replaced while the gate ran. Nothing leaves: stop the gate, start it again."
            )

    # -- people --------------------------------------------------------------------------------------------------------

    async def pending(self, *, limit: int = 20, after: int | None = None) -> list[Message]:
        """Return what waits, oldest first."""
        return await self.db.read(decisions.pending, limit=limit, after=after)

    async def view(self, message_id: str) -> View:
        """Return one message, drawn from its bytes."""
        return await self.db.read(decisions.view, self.authority, message_id)

    async def sign_in(self, name: str, passphrase: str, *, now: int) -> Session:
        """Open an approver's key. Raises NotAllowed for a wrong passphrase or a locked name. Takes about 0.2 s."""
        standing = await self.db.write(state.see, now=now)
        now = standing.now(now)
        key_id = await self.db.write(
            approvers.begin_try, self.home, self.authority.root, approvers.check_name(name), now=now
        )
        try:
            pair = await asyncio.to_thread(approvers.open_key, self.home, name, key_id, passphrase)
        except OpsPilotError:
            await self.db.write(approvers.end_try, name, key_id, good=False, now=now)
            raise
        await self.db.write(approvers.end_try, name, key_id, good=True, now=now)
        return Session(name, pair, opened_ms=now, used_ms=now)

    async def approve(
        self,
        message_id: str,
        approver: str,
        passphrase: str,
        *,
        shown_sha256: str,
        typed_recipient: str | None = None,
        now: int,
    ) -> Decision:
        """Sign in for this one decision and sign; see `decisions.approve`."""
        session = await self.sign_in(approver, passphrase, now=now)
        return await self.approve_as(
            session, message_id, shown_sha256=shown_sha256, fresh=True, typed_recipient=typed_recipient, now=now
        )

    async def approve_as(
        self,
        session: Session,
        message_id: str,
        *,
        shown_sha256: str,
        fresh: bool = False,
        typed_recipient: str | None = None,
        now: int,
    ) -> Decision:
        """Sign in an open session; see `decisions.approve`."""
        return await self._decide(
            decisions.approve,
            self.authority,
            session,
            message_id,
            shown_sha256=shown_sha256,
            fresh=fresh,
            typed_recipient=typed_recipient,
            now=now,
        )

    async def edit_and_approve(
        self, session: Session, message_id: str, *, title: str, body: str, shown_sha256: str, now: int
    ) -> Decision:
        """Store a person's wording and sign it; see `decisions.edit_and_approve`."""
        look, words = await self._look(message_id), decisions.Wording(title, body, shown_sha256)
        return await self._decide(
            decisions.edit_and_approve, self.authority, session, message_id, words, look=look, now=now
        )

    async def edit(
        self, session: Session, message_id: str, *, title: str, body: str, shown_sha256: str, now: int
    ) -> Message:
        """Store a person's wording as a new version to look at before signing; see `decisions.edit`."""
        look, words = await self._look(message_id), decisions.Wording(title, body, shown_sha256)
        return await self._decide(decisions.edit, self.authority, session, message_id, words, look=look, now=now)

    async def _look(self, message_id: str) -> deskside.Look | None:
        message = await self.db.read(snapshots.get, message_id)
        return dict(await self.desk.read(deskside.look_whole, [message.proposal])).get(message.proposal)

    async def reject(self, message_id: str, *, by: str, reason: str, now: int) -> Decision:
        """Decide that a message will not be sent."""
        return await self._decide(decisions.reject, message_id, by=by, reason=reason, now=now)

    async def hold(self, message_id: str, *, by: str, now: int) -> Decision:
        """Stop a message until a person lifts the hold."""
        return await self._decide(decisions.hold, message_id, by=by, now=now)

    async def lift(self, session: Session, message_id: str, *, now: int) -> Decision:
        """End a hold, the agents' side's wish included."""
        decision = await self._decide(decisions.lift, self.authority, session, message_id, now=now)
        number = (await self.db.read(snapshots.get, message_id)).proposal
        await self.desk.write(deskside.clear_hold, number)
        return decision

    async def resolve(self, session: Session, message_id: str, *, was_sent: bool, now: int) -> Decision:
        """Say whether an uncertain or failed message arrived."""
        return await self._decide(decisions.resolve, self.authority, session, message_id, was_sent=was_sent, now=now)

    async def kill(self, *, by: str, now: int) -> bool:
        """Stop everything at once; False when it was stopped already."""
        return await self._decide(decisions.kill, by=by, now=now)

    async def release(self, session: Session, *, now: int) -> bool:
        """Let messages leave again; False when nothing was stopped."""
        return await self._decide(decisions.release, self.authority, session, now=now)

    async def end_quarantine(self, session: Session, *, now: int) -> bool:
        """End the quarantine after a restore; False when there was none."""
        return await self._decide(decisions.end_quarantine, self.authority, session, now=now)

    async def accept_clock(self, session: Session, *, now: int) -> bool:
        """Let the clock run from `now` again after it had jumped ahead; False when it had not."""
        return await self._decide(decisions.accept_clock, self.authority, session, now=now)

    async def quarantine(self, why: str, *, now: int) -> None:
        """Stop everything after a restore: what waits may have been sent since the backup."""
        await self._decide(upkeep.quarantine, why, now=now)

    async def _decide(self, decide: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a decision in one transaction, checkpoint it, and tell the desk when it can be reached."""
        self._check_file()
        made = await self.db.write(decide, *args, **kwargs)
        now = cast(int, kwargs["now"])  # every decision is made at an instant
        try:
            await self.tell(now=now)
        except OpsPilotError:
            await checkpoint(self.db, self.checkpoints, now=now)
        return made

    # -- approvers -----------------------------------------------------------------------------------------------------

    async def approvers(self) -> list[approvers.Approver]:
        """Return every registered key, oldest first."""
        return list((await self.db.read(approvers.load, self.home, self.authority.root)).values())

    async def add_approver(self, voucher: Session, name: str, passphrase: str, *, now: int) -> str:
        """Register a person, vouched for by a signed-in approver; returns the key's id."""
        now = (await self.db.write(state.see, now=now)).now(now)
        voucher.touch(now)
        approvers.check_name(name)
        keys.check_strength(passphrase)
        pair = keys.new_pair()
        root = self.authority.root
        by = f"person:{voucher.name}"
        await self.db.write(approvers.register, self.home, root, name, pair.public, voucher.pair, by=by, now=now)
        await asyncio.to_thread(approvers.save_key, self.home, name, pair, passphrase)
        await checkpoint(self.db, self.checkpoints, now=now)
        return pair.key_id

    async def revoke_approver(self, name: str, *, by: str, now: int) -> None:
        """Take a person's key out of force."""
        await self._decide(approvers.revoke, self.home, self.authority.root, name, by=by, now=now)

    # -- the dispatcher ------------------------------------------------------------------------------------------------

    async def tick(self, *, now: int, clock_ms: Callable[[], int] | None = None) -> int:
        """One turn of the dispatcher; returns how many messages were sent. See `Turns.take`."""
        return await self.turns.take(now=now, clock_ms=clock_ms or (lambda: now))

    async def counts(self) -> dict[str, int]:
        """Return how many messages are in each state."""
        return await self.db.read(snapshots.counts)

    # -- looking back --------------------------------------------------------------------------------------------------

    async def verify_audit(self) -> Verdict:
        """Check the whole record."""
        public = self.authority.root.checkpoint_key
        return await asyncio.to_thread(audit.verify, self.home.gate_db, self.checkpoints, public)


@asynccontextmanager
async def open_gate(root: Path) -> AsyncIterator[Gate]:
    """Open a gate for the length of a block."""
    gate = await Gate.open(root)
    try:
        yield gate
    finally:
        await gate.close()
