"""Opens everything once: what every door of the agents' process is given."""

import getpass
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from opspilot_mcp import clock
from opspilot_mcp import policy as policies
from opspilot_mcp.aiops import incidents, runbooks
from opspilot_mcp.aiops.runbooks import Runbook
from opspilot_mcp.desk import flow, promises
from opspilot_mcp.engines import Engine, pricing, templates
from opspilot_mcp.engines.pricing import Price
from opspilot_mcp.engines.templates import Macro
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.insights import ledger
from opspilot_mcp.packaged import own_or_packaged
from opspilot_mcp.policy import Policy
from opspilot_mcp.settings import Settings
from opspilot_mcp.store.db import Db, open_db
from opspilot_mcp.store.files import private_folder
from opspilot_mcp.store.kept_answers import KeptAnswers
from opspilot_mcp.store.schema import DESK

log = logging.getLogger("opspilot_mcp")

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class App:
    """The desk's database, the policy and the clock. `principal` names who stands at this door."""

    db: Db
    policy: Policy
    settings: Settings
    principal: str
    now: Callable[[], int] = clock.now_ms
    _swept_ms: int = field(default=0, repr=False)

    async def read(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a room function on one consistent snapshot."""
        return await self.db.read(fn, *args, **kwargs)

    async def write(self, fn: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a room function as one transaction; what the clock has made due is done before it, once a minute."""
        await self.sweep()
        return await self.db.write(fn, *args, **kwargs)

    @property
    def runbooks(self) -> list[Runbook]:
        """The operator's runbooks as far as they can be read, or the packaged ones; read again when a file changes."""
        return runbooks.readable(own_or_packaged(self.settings.runbooks, "runbooks"))

    @cached_property
    def macros(self) -> tuple[Macro, ...]:
        """The operator's reply macros, or the packaged ones where there are none; read once."""
        return templates.load(own_or_packaged(self.settings.macros, "macros"))

    @cached_property
    def engine(self) -> Engine | None:
        """The paid engine when a key is set; it is asked only where the local reading is in doubt."""
        key = self.settings.anthropic_api_key
        if key is None:
            return None
        from opspilot_mcp.engines.anthropic_api import AnthropicEngine

        return AnthropicEngine(
            key.get_secret_value(),
            model=self.settings.model,
            price=pricing.price_of(self.settings.model, _own_prices(self.policy)),
            purse=ledger.DeskPurse(self.db, self.now, daily_usd=self.policy.engine.daily_usd),
            cache=KeptAnswers(self.db, self.now),
        )

    async def sweep(self) -> None:
        """Do what the clock has made due, at most once a minute."""
        now = self.now()
        if now - self._swept_ms < flow.SWEEP_EVERY_MS:
            return
        self._swept_ms = now
        try:
            if await self.db.write(flow.sweep, policy=self.policy, now=now):
                await self.db.write(incidents.resolve_recovered, actor=flow.CLOCK, now=now)
        except OpsPilotError as error:
            # The caller's own write must not fail for it; the next minute tries again.
            log.warning("the sweep of due work failed: %s", error)


async def _hold_promises(app: App) -> None:
    """Compute open tickets anew, in short writes, where the policy promises something else than when that was done."""
    try:
        if await app.db.read(promises.are_held, app.policy):
            return
        after: int | None = 0
        changed = 0
        while after is not None:
            after, count = await app.db.write(promises.hold, app.policy, after=after)
            changed += count
        await app.db.write(promises.settle, app.policy, changed=changed, actor=app.principal, now=app.now())
    except OpsPilotError as error:
        # What was asked for must not fail for it; the next start tries again.
        log.warning("open tickets could not be held to the policy: %s", error)


def _own_prices(policy: Policy) -> dict[str, Price]:
    return {model: Price.model_validate(part.model_dump()) for model, part in policy.engine.prices.items()}


def agent_principal() -> str:
    """Return who an agent on this door is: the operating-system user it runs as, never a name it gives."""
    return f"agent:{getpass.getuser()}"


def operator_principal() -> str:
    """Return who a person at this command line is."""
    return f"operator:{getpass.getuser()}"


@asynccontextmanager
async def open_app(settings: Settings, *, principal: str) -> AsyncIterator[App]:
    """Open the desk for the length of a block. Raises BadSetting or StoreUnusable with the next step."""
    private_folder(settings.home)
    policy = policies.load(settings.policy_file)
    async with open_db(settings.desk_db, DESK) as db:
        app = App(db=db, policy=policy, settings=settings, principal=principal)
        await _hold_promises(app)
        try:
            yield app
        finally:
            if "engine" in app.__dict__ and app.engine is not None:  # connected only when it was asked
                await app.engine.close()
