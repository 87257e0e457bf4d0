"""The dispatcher's turns: follow the desk, end what ran out, send what is due. Nothing else touches a channel."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from opspilot_mcp import proposals
from opspilot_mcp.gate import anchors, deskside, dispatch, state

if TYPE_CHECKING:
    from opspilot_mcp.gate.service import Gate

_FOLLOW_MS = 5_000
_AT_ONCE = 4


class Turns:
    """One gate's turns, and when each part of them was last done."""

    def __init__(self, gate: "Gate") -> None:
        self._gate = gate
        self._beat_ms = self._followed_ms = self._noted_ms = 0
        self._said: tuple[str | None, str | None] | None = None

    async def take(self, *, now: int, clock_ms: Callable[[], int]) -> int:
        """Take one turn; returns how many messages were sent.

        `clock_ms` tells the time just before a send and when it ended. A desk that cannot be told anything because
        of somebody's code in it (DeskChanged) is raised last: what is signed leaves first.
        """
        gate = self._gate
        await gate.check_restored(now=now)
        parts = (self._sync_in_time, self._beat_in_time, self._note_in_time)
        refused = [await gate.unless_refused(part(now=now)) for part in parts]
        if await gate.db.read(dispatch.has_run_out, now=now):
            await gate.db.write(dispatch.expire, now=now)
            await gate.db.write(dispatch.reap, gate.authority, now=now)
        sent = await self._deliver_all(await gate.db.read(dispatch.due, now=now), clock_ms)
        refused.append(await gate.unless_refused(gate.tell(now=now)))
        for one in refused:
            if one is not None:
                raise one
        return sent

    async def _deliver_all(self, due: list[tuple[int, int]], clock_ms: Callable[[], int]) -> int:
        """Deliver a few at a time, so that one server that hangs does not hold up the others; returns how many left."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(number: int, proposal: int) -> int:
            async with places:
                return await self.deliver(number, proposal, clock_ms)

        ended = await asyncio.gather(*(one(*each) for each in due), return_exceptions=True)
        for result in ended:
            if isinstance(result, BaseException):
                raise result
        return sum(result for result in ended if isinstance(result, int))

    async def deliver(self, number: int, proposal: int, clock_ms: Callable[[], int]) -> int:
        """Claim, send and record one message; 1 when it was sent."""
        gate = self._gate
        look = (await gate.desk.read(deskside.look_at, [proposal])).get(proposal)
        claim = await gate.db.write(dispatch.claim, gate.authority, number, look, now=clock_ms())
        if claim is None:
            return 0
        result = await asyncio.to_thread(dispatch.send, claim, gate.authority, gate.wire, clock_ms)
        await gate.db.write(dispatch.mark, claim, result, now=clock_ms())
        dispatch.crash_here("after_mark")
        return int(result.outcome == "sent")

    # -- what need not be done at every turn ---------------------------------------------------------------------------

    async def _sync_in_time(self, *, now: int) -> None:
        """Take what is new at every turn; look at what waits every five seconds: a claim looks again anyway."""
        if not 0 <= now - self._followed_ms < _FOLLOW_MS:
            await self._gate.sync(now=now)
            self._followed_ms = now
        elif await self._gate.take_new(now=now):
            await self._gate.tell(now=now)

    async def _beat_in_time(self, *, now: int) -> None:
        """Write the heartbeat when its last one is a third of the way to being stale, or says something else."""
        standing = await self._gate.db.read(state.read)
        said = (standing.killed_by, standing.quarantine)
        if said != self._said or not 0 <= now - self._beat_ms < proposals.HEARTBEAT_MS // 3:
            await self._gate.beat(now=now)
            self._beat_ms, self._said = now, said

    async def _note_in_time(self, *, now: int) -> None:
        """Note the desk's newest audit row, once a minute."""
        if not 0 <= now - self._noted_ms < anchors.EVERY_MS:
            self._noted_ms = now
            await anchors.take(self._gate.db, self._gate.desk, now=now)
