"""`triage --backlog`: everything untriaged, locally first; what no certificate covers, by a model at half the price.

Three steps, each safe to stop: collect what is on its way, triage locally, hand the rest in and wait. Stopped while it
waits, the batch goes on at the provider, and the next run collects it.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opspilot_mcp.app import App
from opspilot_mcp.commands import printing
from opspilot_mcp.desk import backlog, flow, learning, queue
from opspilot_mcp.desk.triage import Triaged
from opspilot_mcp.engines import Batch, Letter, ReadAnswer
from opspilot_mcp.engines.anthropic_api import MAX_BATCH, AnthropicEngine, Estimate
from opspilot_mcp.errors import InvalidInput

POLL_S = 10.0
_ALL = 10_000_000


@dataclass(slots=True)
class Told:
    """What a run did, for people and for scripts."""

    routes: Counter[str] = field(default_factory=Counter)
    local: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)  # of the tickets a model was to read
    cost_usd: float = 0.0
    batches: list[str] = field(default_factory=list)

    def triaged(self, done: Iterable[Triaged]) -> None:
        for one in done:
            if one.is_new:
                self.routes["human" if one.ticket.status == "human_review" else str(one.ticket.tier)] += 1

    def answered(self, answers: Mapping[str, ReadAnswer]) -> None:
        self.outcomes.update(answer.usage.outcome for answer in answers.values())
        self.cost_usd += sum(answer.usage.cost_usd for answer in answers.values())


def _model(app: App) -> AnthropicEngine | None:
    return app.engine if isinstance(app.engine, AnthropicEngine) else None


async def run(app: App, *, as_json: bool) -> int:
    """Triage everything untriaged and print what became of it."""
    told, model = Told(), _model(app)
    if model is not None:
        await _collect_all(app, model, told, as_json=as_json)
    doubtful = await _locally(app, told, keep_doubtful=model is not None, as_json=as_json)
    if model is not None and doubtful:
        await _hand_in(app, model, doubtful, told, as_json=as_json)
        await _collect_all(app, model, told, as_json=as_json)
    await _report(app, told, model, as_json=as_json)
    return 0


async def _waiting(app: App) -> list[str]:
    """Return the untriaged tickets that are in no batch."""
    wanted = await app.read(queue.untriaged, limit=_ALL)
    return backlog.not_in(wanted, await app.read(backlog.on_their_way, now=app.now()))


async def _locally(app: App, told: Told, *, keep_doubtful: bool, as_json: bool) -> list[str]:
    wanted, later = await _waiting(app), list[str]()
    with printing.count_progress(len(wanted), "read locally", quiet=as_json) as done:
        async for step in backlog.triage_locally(app, wanted, keep_doubtful=keep_doubtful):
            told.triaged(step.triaged)
            told.local += sum(one.is_new for one in step.triaged)
            later += step.for_model
            done(told.local + len(later))
    return later


async def _hand_in(app: App, model: AnthropicEngine, wanted: list[str], told: Told, *, as_json: bool) -> None:
    with printing.count_progress(len(wanted), "hand in", quiet=as_json) as done:
        for start in range(0, len(wanted), MAX_BATCH):
            made, triaged = await backlog.hand_in(app, model, wanted[start : start + MAX_BATCH])
            told.triaged(triaged)
            told.answered(made.answers)
            done(start + MAX_BATCH)


async def _collect_all(app: App, model: AnthropicEngine, told: Told, *, as_json: bool) -> None:
    """Wait for every batch on its way, of this run or an earlier one."""
    for batch in await app.read(backlog.on_their_way, now=app.now()):
        what = f"{len(batch.receipts)} tickets with {batch.model}; Ctrl-C is safe, the next run collects"
        with printing.count_progress(None, what, quiet=as_json):
            answers, triaged = await _collected(app, model, batch)
        told.batches.append(batch.id)
        told.answered(answers)
        told.triaged(triaged)


async def _collected(app: App, model: AnthropicEngine, batch: Batch) -> tuple[dict[str, ReadAnswer], list[Triaged]]:
    while True:
        found = await backlog.collect(app, model, batch)
        if found is not None:
            return found
        await asyncio.sleep(POLL_S)


async def _report(app: App, told: Told, model: AnthropicEngine | None, *, as_json: bool) -> None:
    gate = (await app.read(learning.load, app.policy)).gate
    count, share = told.routes.total(), model.price.batch_share if model else 1.0
    saved = told.cost_usd / share - told.cost_usd
    if as_json:
        printing.as_json(
            {
                "triaged": count,
                "locally": told.local,
                "asked": dict(sorted(told.outcomes.items())),
                "routes": dict(sorted(told.routes.items())),
                "batches": told.batches,
                "cost_usd": round(told.cost_usd, 6),
                "saved_usd": round(saved, 6),
                "gate": gate.words(),
            }
        )
        return
    out = printing.console()
    routes = ", ".join(f"{number} to {route}" for route, number in sorted(told.routes.items()))
    out.print(f"Triaged {printing.counted(count, 'ticket')}{': ' + routes if routes else ''}.", markup=False)
    if told.outcomes:
        asked = ", ".join(f"{number} {outcome}" for outcome, number in sorted(told.outcomes.items()))
        out.print(f"{told.local} by the local reading alone; a model was to read {told.outcomes.total()}: {asked}.")
        out.print(f"Cost ${told.cost_usd:.4f}; call by call it would have been ${told.cost_usd + saved:.4f}.")
    out.print(f"{gate.words()[:1].upper()}{gate.words()[1:]}.", markup=False)


async def dry_run(app: App, *, as_json: bool) -> int:
    """Say how many tickets wait, how many a model would read, and what that costs. Changes and asks nothing."""
    wanted, model = await _waiting(app), _model(app)
    letters, read = list[Letter](), 0
    with printing.count_progress(len(wanted), "read locally", quiet=as_json) as done:
        async for count, chunk in backlog.doubtful(app, wanted):
            read, letters = read + count, letters + chunk
            done(read)
    cost = model.estimate(letters, flow.taxonomy(app.policy)) if model else Estimate(0.0, 0.0)
    told: dict[str, Any] = {
        "untriaged": len(wanted),
        "for_model": len(letters) if model else 0,
        "model": model.model if model else None,
        "likely_usd": round(cost.likely_usd, 6),
        "at_most_usd": round(cost.worst_usd, 6),
        "daily_usd": app.policy.engine.daily_usd,
        "on_their_way": len(await app.read(backlog.on_their_way, now=app.now())),
    }
    if as_json:
        printing.as_json(told)
    else:
        printing.console().print(_forecast(told), markup=False)
    return 0


def _forecast(told: Mapping[str, Any]) -> str:
    head = f"{printing.counted(told['untriaged'], 'ticket')} untriaged."
    if told["model"] is None:
        return f"{head} Without ANTHROPIC_API_KEY all are read locally, at no cost. Nothing was changed."
    return (
        f"{head} {told['for_model']} would go to {told['model']} in one batch: about ${told['likely_usd']:.4f}, "
        f"${told['at_most_usd']:.4f} reserved of the day's ${told['daily_usd']:.2f}; what that does not cover is read "
        f"locally. Nothing was changed."
    )


def check_arguments(*, is_backlog: bool, is_dry_run: bool) -> None:
    """Raise InvalidInput for --dry-run alone."""
    if is_dry_run and not is_backlog:
        raise InvalidInput("--dry-run belongs to --backlog: plain triage asks nobody and costs nothing.")
