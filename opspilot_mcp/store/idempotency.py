"""Same key and same request: the same answer. A call that was cancelled may have committed; asking again is safe."""

import hashlib
import json
from collections.abc import Callable

from sqlalchemy import Connection, insert, select

from opspilot_mcp.errors import Conflict, InvalidInput
from opspilot_mcp.store.schema import idempotency

MAX_KEY = 128


def once(
    conn: Connection, principal: str, key: str | None, request: object, make: Callable[[], str], *, now: int
) -> tuple[str, bool]:
    """Return (id, is_new): what `make()` returned, or what it returned the first time this key was used.

    `request` is anything JSON can hold. Raises Conflict when the key was used for another request.
    """
    if key is None:
        return make(), True
    if not 1 <= len(key) <= MAX_KEY:
        raise InvalidInput(f"idempotency_key has {len(key)} characters. Use 1 to {MAX_KEY}.")
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    seen = conn.execute(
        select(idempotency.c.request_sha256, idempotency.c.answer).where(
            idempotency.c.principal == principal, idempotency.c.key == key
        )
    ).first()
    if seen is not None:
        if seen.request_sha256 != digest:
            raise Conflict("This idempotency_key was used for another request. Use a new key for a new request.")
        return seen.answer, False
    answer = make()
    conn.execute(
        insert(idempotency).values(principal=principal, key=key, request_sha256=digest, answer=answer, at_ms=now)
    )
    return answer, True
