"""A backlog at half the price: read locally first, hand the rest to a model in one batch, collect it when it is done.

A ticket in a batch stays untriaged until its answer is there, so anybody may still triage it meanwhile; the answer
then finds it done. The batch's id lies in the database: any process can collect, whoever handed it in.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, insert, select, update

from opspilot_mcp.desk import flow, tickets
from opspilot_mcp.desk.flow import Desk
from opspilot_mcp.desk.triage import Triaged
from opspilot_mcp.engines import Batch, Letter, ReadAnswer, Submitted, Taxonomy
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.schema import ai_batches

# A provider keeps results for 29 days; a batch past that answers nobody, and its tickets are free again.
GONE_AFTER_MS = 28 * 86_400_000
_CHUNK = 100


class BatchEngine(Protocol):
    """What a backlog needs of a model."""

    model: str

    async def submit(self, letters: Sequence[Letter], taxonomy: Taxonomy) -> Submitted: ...

    async def collect(self, batch: Batch, taxonomy: Taxonomy) -> dict[str, ReadAnswer] | None: ...


class Step(NamedTuple):
    """What became of a chunk of tickets: those triaged, and the ids of those a model should read first."""

    triaged: list[Triaged]
    for_model: list[str]


async def triage_locally(desk: Desk, ticket_ids: Sequence[str], *, keep_doubtful: bool) -> AsyncIterator[Step]:
    """Triage what needs no model, a chunk at a time; with `keep_doubtful` the rest is left for one, else not."""
    for start in range(0, len(ticket_ids), _CHUNK):
        seen = await desk.db.read(flow.read_all, ticket_ids[start : start + _CHUNK], policy=desk.policy)
        later = [one.ticket.id for one in seen if keep_doubtful and one.wants_model]
        now_due = [one for one in seen if one.ticket.id not in set(later)]
        done = await desk.db.write(flow.apply_all, now_due, policy=desk.policy, actor=desk.principal, now=desk.now())
        yield Step(done, later)


async def doubtful(desk: Desk, ticket_ids: Sequence[str]) -> AsyncIterator[tuple[int, list[Letter]]]:
    """Yield, a chunk at a time, how many tickets were read and the letters a model would get. Changes nothing."""
    for start in range(0, len(ticket_ids), _CHUNK):
        seen = await desk.db.read(flow.read_all, ticket_ids[start : start + _CHUNK], policy=desk.policy)
        yield len(seen), [flow.letter(one.ticket, desk.policy) for one in seen if one.wants_model]


async def hand_in(desk: Desk, engine: BatchEngine, ticket_ids: Sequence[str]) -> tuple[Submitted, list[Triaged]]:
    """Hand tickets to a model in one batch and remember it; what was answered at once, well or not, is triaged.

    A ticket the day's budget does not cover, or that the API did not take, keeps its local reading.
    """
    letters = await desk.db.read(_letters, ticket_ids, policy=desk.policy)
    done = await _finished(_submit(desk, engine, letters))
    return done, await _apply(desk, done.answers)


async def _submit(desk: Desk, engine: BatchEngine, letters: Sequence[Letter]) -> Submitted:
    done = await engine.submit(letters, flow.taxonomy(desk.policy))
    if done.batch is not None:
        await desk.db.write(_remember, done.batch, now=desk.now())
    return done


async def _finished(work: Coroutine[Any, Any, Submitted]) -> Submitted:
    """Run `work` to its end though the caller is cancelled: a batch handed in and not remembered is paid for twice."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _letters(conn: Connection, ticket_ids: Sequence[str], *, policy: Policy) -> list[Letter]:
    return [flow.letter(tickets.get(conn, ticket_id), policy) for ticket_id in ticket_ids]


async def collect(desk: Desk, engine: BatchEngine, batch: Batch) -> tuple[dict[str, ReadAnswer], list[Triaged]] | None:
    """Triage the tickets of a batch with a model's answers, or the local reading where one failed.

    None while the batch is not done or out of reach. Safe to repeat. Raises InvalidInput when the desk now asks
    another model: prices and answers are the other one's.
    """
    if batch.model != engine.model:
        raise InvalidInput(
            f"The backlog on its way was handed in to {batch.model}. Set OPSPILOT_MODEL to it until it is collected."
        )
    answers = await engine.collect(batch, flow.taxonomy(desk.policy))
    if answers is None:
        return None
    triaged = await _apply(desk, answers)
    await desk.db.write(_close, batch.id, now=desk.now())
    return answers, triaged


async def _apply(desk: Desk, answers: Mapping[str, ReadAnswer]) -> list[Triaged]:
    """Read the answered tickets again, take the answers in, and triage those nobody has triaged meanwhile."""
    ids, done = list(answers), list[Triaged]()
    for start in range(0, len(ids), _CHUNK):
        seen = await desk.db.read(flow.read_all, ids[start : start + _CHUNK], policy=desk.policy)
        taken = [flow.answered(one, answers[one.ticket.id]) if one.wants_model else one for one in seen]
        done += await desk.db.write(flow.apply_all, taken, policy=desk.policy, actor=desk.principal, now=desk.now())
    return [one for one in done if one.is_new]


# -- what is on its way ------------------------------------------------------------------------------------------------


def _remember(conn: Connection, batch: Batch, *, now: int) -> None:
    conn.execute(insert(ai_batches).values(id=batch.id, body=batch.model_dump_json(), at_ms=now))


def _close(conn: Connection, batch_id: str, *, now: int) -> None:
    conn.execute(update(ai_batches).where(ai_batches.c.id == batch_id).values(collected_ms=now))


def on_their_way(conn: Connection, *, now: int) -> list[Batch]:
    """Return the batches nobody has collected yet, oldest first."""
    rows = conn.execute(
        select(ai_batches.c.body)
        .where(ai_batches.c.collected_ms.is_(None), ai_batches.c.at_ms > now - GONE_AFTER_MS)
        .order_by(ai_batches.c.at_ms, ai_batches.c.id)
    ).scalars()
    return [Batch.model_validate_json(body) for body in rows]


def not_in(ticket_ids: Iterable[str], batches: Iterable[Batch]) -> list[str]:
    """Return the tickets that are in none of the batches."""
    waiting = {ticket_id for batch in batches for ticket_id in batch.receipts}
    return [ticket_id for ticket_id in ticket_ids if ticket_id not in waiting]
