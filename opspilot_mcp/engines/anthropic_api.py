"""The paid mind: one structured call for a reading, one more for a draft when somebody asks for it.

Nothing here raises for what the network or the model did. Each HTTP attempt is reserved in the purse at its worst
price and settled at its real one, so the ledger has a row an attempt and no crash can spend past the daily budget.
The SDK's own retries are off: it would wait as long as a `retry-after` says, a tool call may not. After a call that
found the API overloaded, out of reach or closed to our key, the engine rests, so that a backlog goes on without it.

`anthropic` takes a second and more to import: it is imported with the first call, in a thread.
"""

import asyncio
import importlib
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel

from opspilot_mcp.engines import (
    Batch,
    Brief,
    Cache,
    Draft,
    DraftAnswer,
    Letter,
    Outcome,
    Purse,
    ReadAnswer,
    Submitted,
    Taxonomy,
    Usage,
    answers,
    prompts,
)
from opspilot_mcp.engines.pricing import Price, Tokens, cost_usd, worst_usd
from opspilot_mcp.errors import InvalidInput, OpsPilotError

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic

log = logging.getLogger("opspilot_mcp")

ENGINE = "anthropic"
MAX_BATCH = 10_000
_READ_TOKENS = 300
_DRAFT_TOKENS = 800
_THINKING_TOKENS = 2_000
# For estimates only: bytes of English a token takes, and the tokens of a reading.
_USUAL_BYTES = 4
_USUAL_ANSWER = 60
_REST_S = 60.0
_LONGEST_REST_S = 900.0
_AT_REST: Outcome = "overloaded"
_FIRST_WAIT_S = 0.5

# What the API answered to the attempt of this task: `parse` raises on a cut or refused answer and drops its usage.
_answered: ContextVar[dict[str, Any] | None] = ContextVar("_answered", default=None)


class _Call(NamedTuple):
    """One thing to ask: what it is about, the request, and the shape of the answer (None: plain text)."""

    operation: str
    subject: str
    key: str
    request: dict[str, Any]
    shape: type[BaseModel] | None
    size: int  # bytes of the request
    worst_usd: float


class Estimate(NamedTuple):
    """Dollars before anything is asked: from usual lengths of tokens and answers, and the bound that is reserved."""

    likely_usd: float
    worst_usd: float


class _Attempt(NamedTuple):
    """How one HTTP attempt ended. `wait_s` is None where another try cannot help."""

    said: str | None
    usage: Usage
    wait_s: float | None


class AnthropicEngine:
    """Readings and drafts by a Claude model. `base_url` names another host that speaks the same API."""

    def __init__(
        self,
        api_key: str,
        *,
        model: str,
        price: Price,
        purse: Purse,
        cache: Cache,
        base_url: str | None = None,
        deadline_s: float = 30.0,
        tries: int = 3,
        at_once: int = 4,
    ) -> None:
        self.model, self.price = model, price
        self._api_key, self._base_url = api_key, base_url
        self._purse, self._cache = purse, cache
        self._deadline_s, self._tries = deadline_s, tries
        self._seats = asyncio.Semaphore(at_once)
        self._connecting = asyncio.Lock()
        self._connected: AsyncAnthropic | None = None
        self._rests_until, self._rests_as = 0.0, _AT_REST

    # -- asking --------------------------------------------------------------------------------------------------------

    async def read(self, letter: Letter, taxonomy: Taxonomy) -> ReadAnswer:
        """Return the model's reading, checked against the taxonomy, or None and why there is none."""
        call = self._reading_call(letter, taxonomy)
        said, usage = await self._ask(call)
        return ReadAnswer(reading=answers.reading(said, call.shape) if said else None, usage=usage)

    async def draft(self, letter: Letter, brief: Brief) -> DraftAnswer:
        """Return a draft for a person to check, or None and why there is none."""
        key = prompts.cache_key(self.model, prompts.DRAFT_VERSION, letter, brief, with_ticket=True)
        request = self._request(prompts.draft_rules(letter, brief), letter, _DRAFT_TOKENS)
        said, usage = await self._ask(self._call("draft", letter, key, request, None))
        return DraftAnswer(draft=Draft(body=said, engine=self.model) if said else None, usage=usage)

    def _reading_call(self, letter: Letter, taxonomy: Taxonomy, *, is_batch: bool = False) -> _Call:
        key = prompts.cache_key(self.model, prompts.READ_VERSION, letter, taxonomy, with_ticket=False)
        request = self._request(prompts.read_rules(taxonomy), letter, _READ_TOKENS)
        return self._call("read", letter, key, request, prompts.answer_model(taxonomy), is_batch=is_batch)

    def _request(self, rules: str, letter: Letter, max_tokens: int) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self.model,
            "system": rules,
            "messages": [{"role": "user", "content": prompts.fenced(letter)}],
        }
        if self.price.thinking_off:
            return request | {"max_tokens": max_tokens, "thinking": {"type": "disabled"}}
        # Such a model thinks whatever it is told, and its thoughts count as output.
        return request | {"max_tokens": max_tokens + _THINKING_TOKENS, "output_config": {"effort": "low"}}

    def _call(
        self,
        operation: str,
        letter: Letter,
        key: str,
        request: dict[str, Any],
        shape: type[BaseModel] | None,
        *,
        is_batch: bool = False,
    ) -> _Call:
        size = len(str(request).encode("utf-8", "replace"))
        size += len(str(shape.model_json_schema()).encode()) if shape else 0
        worst = worst_usd(size, request["max_tokens"], self.price, is_batch=is_batch)
        return _Call(operation, letter.ticket, key, request, shape, size, worst)

    async def _ask(self, call: _Call) -> tuple[str | None, Usage]:
        """Return what the model said (from the cache where it was asked before) and what the last attempt took."""
        kept = await self._kept(call)
        if kept is not None:
            return kept, await self._note_cached(call)
        client = await self._client()
        async with self._seats:
            deadline = time.monotonic() + self._deadline_s
            for tried in range(1, self._tries + 1):
                attempt = await self._attempt(client, call, deadline)
                if attempt.said is not None or attempt.wait_s is None:
                    break
                wait_s = max(attempt.wait_s, _FIRST_WAIT_S * 2 ** (tried - 1) * random.uniform(0.8, 1))  # noqa: S311
                if tried == self._tries or time.monotonic() + wait_s >= deadline:
                    self._rest(attempt.wait_s, attempt.usage.outcome)
                    break
                await asyncio.sleep(wait_s)
        if attempt.said is not None:
            await self._keep(call.key, attempt.said)
        return attempt.said, attempt.usage

    async def _attempt(self, client: "AsyncAnthropic", call: _Call, deadline: float) -> _Attempt:
        """Make one HTTP attempt, if the engine is awake and the day's money covers its worst price."""
        if time.monotonic() < self._rests_until:
            return _Attempt(None, self._usage(self._rests_as), None)
        receipt = await self._reserve(call)
        if receipt is None:
            return _Attempt(None, self._usage("over_budget"), None)
        started = time.monotonic()
        seen: dict[str, Any] = {}
        _answered.set(seen)
        try:
            async with asyncio.timeout(deadline - started):
                await _send(client, call)
            error: Exception | None = None
        except Exception as caught:  # whatever the SDK makes of an answer, it is the desk that goes on
            error = caught
        latency_ms = (time.monotonic() - started) * 1000
        attempt = self._heard(seen, call, latency_ms) if seen else self._failed(error, call, latency_ms)
        await self._settle(receipt, attempt.usage)
        return attempt

    def _heard(self, seen: dict[str, Any], call: _Call, latency_ms: float) -> _Attempt:
        said, outcome = answers.judged(seen["answer"], call.shape)
        return _Attempt(said, self._usage(outcome, latency_ms, tokens=answers.tokens(seen["answer"])), None)

    def _failed(self, error: Exception | None, call: _Call, latency_ms: float) -> _Attempt:
        """Judge an attempt without an answer. Nothing of the API's own text goes on: it may quote the request."""
        status, kind = getattr(error, "status_code", None), type(error).__name__
        log.warning("the model API failed: %s%s", kind, f" ({status})" if status else "")
        if status is not None:
            outcome: Outcome = "overloaded" if status in (429, 503, 529) else "error"
            if status in (401, 402, 403, 404):
                self._rest(_REST_S, outcome)
            return _Attempt(None, self._usage(outcome, latency_ms), _wait_s(status, error))
        if isinstance(error, TimeoutError) or kind == "APITimeoutError":
            self._rest(_REST_S, "timeout")
            return _Attempt(None, self._usage("timeout", latency_ms, cost=call.worst_usd), None)
        # A request that got no answer may have been charged: it stays at its worst price.
        lost = kind == "APIConnectionError"
        cost = call.worst_usd if lost else 0.0
        return _Attempt(None, self._usage("error", latency_ms, cost=cost), 0.0 if lost else None)

    # -- a backlog at half the price -----------------------------------------------------------------------------------

    async def submit(self, letters: Sequence[Letter], taxonomy: Taxonomy) -> Submitted:
        """Hand in a backlog of readings; `collect` has them within a day. Raises InvalidInput past 10,000 letters."""
        if len(letters) > MAX_BATCH:
            raise InvalidInput(f"A batch of {len(letters)} tickets is too large. Submit at most {MAX_BATCH} at a time.")
        settled: dict[str, ReadAnswer] = {}
        calls: dict[str, tuple[_Call, int]] = {}
        for letter in {letter.ticket: letter for letter in letters}.values():
            call = self._reading_call(letter, taxonomy, is_batch=True)
            kept = await self._kept(call)
            if kept is not None:
                usage = await self._note_cached(call)
                settled[call.subject] = ReadAnswer(reading=answers.reading(kept, call.shape), usage=usage)
            elif (receipt := await self._reserve(call)) is not None:
                calls[call.subject] = call, receipt
            else:
                settled[call.subject] = ReadAnswer(reading=None, usage=self._usage("over_budget"))
        batch = await self._hand_in(calls) if calls else None
        if batch is None:
            settled |= {subject: await self._lost(receipt) for subject, (_, receipt) in calls.items()}
        return Submitted(batch=batch, answers=settled)

    def estimate(self, letters: Sequence[Letter], taxonomy: Taxonomy) -> Estimate:
        """Return what a batch of these letters is likely to cost, and at most. Asks nobody."""
        calls = [self._reading_call(letter, taxonomy, is_batch=True) for letter in letters]
        likely = [Tokens(input=call.size // _USUAL_BYTES, output=_USUAL_ANSWER) for call in calls]
        return Estimate(
            likely_usd=sum(cost_usd(tokens, self.price, is_batch=True) for tokens in likely),
            worst_usd=sum(call.worst_usd for call in calls),
        )

    async def _hand_in(self, calls: dict[str, tuple[_Call, int]]) -> Batch | None:
        client = await self._client()
        try:
            requests: Any = [_batch_request(call) for call, _ in calls.values()]
            async with asyncio.timeout(self._deadline_s):
                made = await client.messages.batches.create(requests=requests)
        except Exception as error:  # as in _attempt: the desk goes on without this batch
            log.warning("the batch was not taken: %s", type(error).__name__)
            return None
        return Batch(
            id=made.id,
            model=self.model,
            keys={subject: call.key for subject, (call, _) in calls.items()},
            receipts={subject: receipt for subject, (_, receipt) in calls.items()},
        )

    async def collect(self, batch: Batch, taxonomy: Taxonomy) -> dict[str, ReadAnswer] | None:
        """Return the answer to every letter of a batch, or None while it is not done or out of reach."""
        shape = prompts.answer_model(taxonomy)
        client = await self._client()
        try:
            async with asyncio.timeout(self._deadline_s):
                if (await client.messages.batches.retrieve(batch.id)).processing_status != "ended":
                    return None
                results = [result async for result in await client.messages.batches.results(batch.id)]
        except Exception as error:  # as in _attempt
            log.warning("the batch cannot be read yet: %s", type(error).__name__)
            return None
        found = {result.custom_id: result.to_dict() for result in reversed(results)}
        return {
            subject: await self._collected(batch, subject, found.get(subject, {}), shape) for subject in batch.receipts
        }

    async def _collected(self, batch: Batch, subject: str, found: dict[str, Any], shape: type[BaseModel]) -> ReadAnswer:
        result: dict[str, Any] = found.get("result", {})
        if result.get("type") != "succeeded":
            return await self._lost(batch.receipts[subject])
        said, outcome = answers.judged(result["message"], shape)
        usage = self._usage(outcome, tokens=answers.tokens(result["message"]), is_batch=True)
        await self._settle(batch.receipts[subject], usage)
        if said is not None:
            await self._keep(batch.keys[subject], said)
        return ReadAnswer(reading=answers.reading(said, shape) if said else None, usage=usage)

    async def _lost(self, receipt: int) -> ReadAnswer:
        # The provider does not charge for requests that failed, were cancelled or expired.
        usage = self._usage("error")
        await self._settle(receipt, usage)
        return ReadAnswer(reading=None, usage=usage)

    # -- small things --------------------------------------------------------------------------------------------------

    async def _client(self) -> "AsyncAnthropic":
        async with self._connecting:
            if self._connected is None:
                sdk = await asyncio.to_thread(importlib.import_module, "anthropic")
                self._connected = sdk.AsyncAnthropic(
                    api_key=self._api_key,
                    base_url=self._base_url,
                    timeout=self._deadline_s,
                    max_retries=0,
                    middleware=[_keep_answer],
                )
            return self._connected

    async def close(self) -> None:
        """Close the connections to the API."""
        if self._connected is not None:
            await self._connected.close()

    def _rest(self, seconds: float, outcome: Outcome) -> None:
        """Ask nothing for a while, and say of what was not asked how the last call ended."""
        span = min(max(seconds, _REST_S), _LONGEST_REST_S)
        self._rests_until, self._rests_as = max(self._rests_until, time.monotonic() + span), outcome

    def _usage(
        self,
        outcome: Outcome,
        latency_ms: float = 0.0,
        *,
        tokens: Tokens | None = None,
        cost: float = 0.0,
        is_batch: bool = False,
    ) -> Usage:
        tokens = tokens or Tokens()
        return Usage(
            engine=ENGINE,
            model=self.model,
            input_tokens=tokens.input + tokens.cache_write,
            output_tokens=tokens.output,
            cached_tokens=tokens.cache_read,
            cost_usd=cost or cost_usd(tokens, self.price, is_batch=is_batch),
            latency_ms=round(latency_ms, 1),
            outcome=outcome,
        )

    async def _kept(self, call: _Call) -> str | None:
        """Return a kept answer that still fits: what a cache holds is checked like what an API says."""
        try:
            kept = await self._cache.get(call.key)
        except OpsPilotError as error:
            log.warning("the answer cache cannot be read: %s", error)
            return None
        return kept if kept is not None and (call.shape is None or answers.reading(kept, call.shape)) else None

    async def _keep(self, key: str, said: str) -> None:
        try:
            await self._cache.put(key, said)
        except OpsPilotError as error:
            log.warning("an answer was not cached: %s", error)

    async def _reserve(self, call: _Call) -> int | None:
        """Take the worst price from the purse. A purse that cannot be opened pays nothing: the desk reads locally."""
        try:
            return await self._purse.reserve(call.operation, call.subject, self.model, call.worst_usd)
        except OpsPilotError as error:
            log.warning("the AI ledger cannot be written, no call is made: %s", error)
            return None

    async def _settle(self, receipt: int, usage: Usage) -> None:
        try:
            await self._purse.settle(receipt, usage)
        except OpsPilotError as error:
            log.warning("a call stays in the AI ledger at its worst price: %s", error)

    async def _note_cached(self, call: _Call) -> Usage:
        usage = self._usage("cached")
        try:
            await self._purse.note(call.operation, call.subject, usage)
        except OpsPilotError as error:
            log.warning("a cached answer is not in the AI ledger: %s", error)
        return usage


async def _send(client: "AsyncAnthropic", call: _Call) -> None:
    if call.shape is None:
        await client.messages.create(**call.request)
    else:
        await client.messages.parse(**call.request, output_format=call.shape)


async def _keep_answer(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    """Put a 200's body where the attempt finds it, whatever the SDK makes of it."""
    response = await call_next(request)
    seen = _answered.get()
    if response.status_code == 200 and seen is not None:
        try:
            seen["answer"] = await response.json()
        except ValueError:
            seen["answer"] = None
    return response


def _wait_s(status: int, error: Exception | None) -> float | None:
    """Return the seconds the API asks to wait before another try, 0 where it names none, None where none helps."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    may_retry = status in (408, 409, 429) or status >= 500
    if not may_retry or headers.get("x-should-retry") == "false":
        return None
    try:
        asked = float(headers.get("retry-after", "0"))
    except ValueError:
        return 0.0  # a date; nobody sends one here
    return max(asked, 0.0) if math.isfinite(asked) else 0.0


def _batch_request(call: _Call) -> dict[str, Any]:
    import anthropic

    assert call.shape is not None  # noqa: S101 - only readings are batched
    schema = anthropic.transform_schema(call.shape)
    output = {**call.request.get("output_config", {}), "format": {"type": "json_schema", "schema": schema}}
    return {"custom_id": call.subject, "params": {**call.request, "output_config": output}}
