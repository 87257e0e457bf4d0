"""Answers of a paid model, kept by content hash for every process of the desk: the same question is paid once.

A key hashes the model, the prompt's version, the desk's categories and the ticket's words, so a change of any of them
misses. Only the checked answer is stored, never the question. The table may be emptied at any time.
"""

from collections.abc import Callable

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from opspilot_mcp.store.db import Db
from opspilot_mcp.store.schema import ai_answers

MOST_ROWS = 20_000
MOST_AGE_MS = 30 * 86_400_000
MOST_CHARS = 20_000

_GET = select(ai_answers.c.answer).where(ai_answers.c.key == bindparam("of"), ai_answers.c.at_ms > bindparam("since"))
_SAME = delete(ai_answers).where(ai_answers.c.key == bindparam("of"))
_OLD = delete(ai_answers).where(ai_answers.c.at_ms <= bindparam("since"))
_COUNT = select(func.count()).select_from(ai_answers)


def get(conn: Connection, key: str, *, now: int) -> str | None:
    """Return the answer kept under `key`; None where there is none, or it is older than 30 days."""
    found: str | None = conn.execute(_GET, {"of": key, "since": now - MOST_AGE_MS}).scalar()
    return found


def put(conn: Connection, key: str, answer: str, *, now: int, most_rows: int = MOST_ROWS) -> None:
    """Keep an answer in place of an earlier one; what is too old goes, then what is too many, oldest first."""
    if len(answer) > MOST_CHARS:
        return
    conn.execute(_SAME, {"of": key})
    conn.execute(_OLD, {"since": now - MOST_AGE_MS})
    conn.execute(insert(ai_answers).values(key=key, answer=answer, at_ms=now))
    surplus = conn.execute(_COUNT).scalar_one() - most_rows
    if surplus > 0:
        oldest = select(ai_answers.c.key).order_by(ai_answers.c.at_ms, ai_answers.c.key).limit(surplus)
        conn.execute(delete(ai_answers).where(ai_answers.c.key.in_(oldest)))


class KeptAnswers:
    """The engines' cache over the desk's database. `clock` is `clock.now_ms`."""

    def __init__(self, db: Db, clock: Callable[[], int]) -> None:
        self._db, self._clock = db, clock

    async def get(self, key: str) -> str | None:
        return await self._db.read(get, key, now=self._clock())

    async def put(self, key: str, answer: str) -> None:
        await self._db.write(put, key, answer, now=self._clock())
