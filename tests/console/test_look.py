"""Every page in a real browser: it fits, can be read and named, and works by keyboard and without scripts."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from opspilot_mcp import clock
from opspilot_mcp.desk import flow, labels, replies, tickets
from opspilot_mcp.insights import impact, ledger
from opspilot_mcp.insights.ledger import AiCall
from opspilot_mcp.policy import Policy
from tests.aiops.storms import alert, estate, fault, fold
from tests.builders import stored_ticket
from tests.gate.conftest import House

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: pip install opspilot-mcp[dev]")
from selenium.webdriver.common.by import By  # noqa: E402 - after the skip
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support import expected_conditions  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

from tests.console.test_browser import (  # noqa: E402
    Open,
    address,
    complaints,
    open_chromium,
    press,
    pytestmark,
    sign_in,
    visit,
    words,
)

__all__ = ["address", "open_chromium", "pytestmark"]  # fixtures, and when to skip

CHECK = (Path(__file__).parent / "accessible.js").read_text()
PAGES = (
    "/",
    "/messages/PR-1",
    "/tickets",
    "/tickets?priority=P1",
    "/tickets/T-1",
    "/tickets/T-2",
    "/tickets/T-3",
    "/review",
    "/incidents",
    "/incidents?state=merged",
    "/incidents/INC-1",
    "/dashboard",
    "/dashboard?days=1",
    "/ai",
    "/summary",
    "/audit",
    "/audit?of=desk&check=1",
    "/gate",
    "/tickets/T-999",
)


def _desk(conn: Connection, now: int) -> None:
    """Three tickets, long words among them, an incident that explains one, a proposal, a call to a model."""
    policy = Policy()
    for number, (subject, body) in enumerate(
        (("W" * 200, "x" * 3000), ("Cart", "My cart is empty."), ("Hi", "Hello."))
    ):
        stored_ticket(conn, now=now, subject=subject, body=body, external_id=str(number), tags=("a" * 40, "b" * 40))
    seen = flow.read_all(conn, ["T-1", "T-2"], policy=policy)
    flow.apply_all(conn, seen, policy=policy, actor="agent:test", now=now)
    estate(conn)
    fold(conn, [fault(n, ts_ms=now, arr_ms=now, service=name) for n, name in enumerate(("cart-db", "v" * 90))], now=now)
    fold(conn, [alert(9, ts_ms=now, arr_ms=now)], now=now)
    impact.confirm(conn, "INC-1", "T-2", by="agent:bot", now=now)
    replies.save_draft(conn, "T-1", "A draft with " + "y" * 400, engine="macro:x", actor="agent:bot", now=now)
    replies.propose(conn, "T-2", "See https://login.example.org/" + "a" * 300, expected_version=None, actor="agent:bot",
                    policy=policy, now=now)  # fmt: skip
    call = {"operation": "read", "subject": "T-1", "engine": "anthropic", "model": "m" * 60, "latency_ms": 5000}
    ledger.record(conn, AiCall.model_validate({**call, "at_ms": now, "cost_usd": 0.001, "outcome": "timeout"}))


@pytest.fixture
async def desk(house: House) -> None:
    now = clock.now_ms()
    await house.desk.write(_desk, now)
    await house.gate.sync(now=now)


@pytest.mark.parametrize(
    ("width", "dark"),
    [
        (390, True),
        (1280, False),
        pytest.param(390, False, marks=pytest.mark.long),
        pytest.param(768, False, marks=pytest.mark.long),
        pytest.param(1280, True, marks=pytest.mark.long),
    ],
)
async def test_every_page_fits_can_be_read_and_names_what_it_offers(
    desk: None, address: str, open_chromium: Open, width: int, dark: bool
) -> None:
    driver = await asyncio.to_thread(open_chromium, width=width, dark=dark)
    await asyncio.to_thread(sign_in, driver, address)

    found = {}
    for path in PAGES:
        await asyncio.to_thread(visit, driver, address + path)
        found[path] = driver.execute_script(CHECK)

    assert [entry for entry in complaints(driver) if "404" not in entry] == []
    assert {path: troubles for path, troubles in found.items() if troubles} == {}


async def until_gone(driver: Any, act: Callable[[], None]) -> None:
    """Do something that leads to another page, and wait for that page."""
    page = driver.find_element(By.TAG_NAME, "html")
    await asyncio.to_thread(act)
    WebDriverWait(driver, 20).until(expected_conditions.staleness_of(page))
    WebDriverWait(driver, 20).until(lambda _: driver.find_elements(By.TAG_NAME, "main"))


async def test_a_review_is_answered_with_a_digit(house: House, desk: None, address: str, open_chromium: Open) -> None:
    driver = await asyncio.to_thread(open_chromium)
    await asyncio.to_thread(sign_in, driver, address)
    await until_gone(driver, lambda: driver.find_element(By.TAG_NAME, "body").send_keys("v"))
    waiting = await house.desk.read(labels.blind_among, [1, 2])

    await until_gone(driver, lambda: driver.find_element(By.TAG_NAME, "body").send_keys("2"))

    [label] = [one for one in (await house.desk.read(labels.of_many, [1, 2])).values() if one.state == "given"]
    assert waiting
    assert (label.category, label.by) == ("technical", "person:ana")
    assert "Triage had said" in words(driver)


async def test_a_digit_typed_into_a_field_answers_nothing(
    house: House, desk: None, address: str, open_chromium: Open
) -> None:
    driver = await asyncio.to_thread(open_chromium)
    await asyncio.to_thread(sign_in, driver, address, "/review")

    await asyncio.to_thread(driver.find_element(By.ID, "priority").send_keys, "2")

    assert {one.state for one in (await house.desk.read(labels.of_many, [1, 2])).values()} <= {"blind", "open"}


async def test_labels_drafts_and_links_need_no_scripts(
    house: House, desk: None, address: str, open_chromium: Open
) -> None:
    driver = await asyncio.to_thread(open_chromium, scripts=False)
    await asyncio.to_thread(sign_in, driver, address, "/tickets/T-2")

    await asyncio.to_thread(press, driver, "#incidents .buttons button.primary")
    await asyncio.to_thread(press, driver, ".choices button")
    await asyncio.to_thread(driver.get, f"{address}/tickets/T-1")
    body = driver.find_element(By.ID, "body")
    body.clear()
    body.send_keys("It works again.")
    await asyncio.to_thread(press, driver, "button[value=propose]")

    assert [one.by for one in await house.desk.read(impact.links_of_ticket, "T-2")] == ["person:ana"]
    assert (await house.desk.read(labels.of, 2)).state == "given"
    draft = await house.desk.read(tickets.latest_draft, 1)
    assert draft is not None
    assert (draft.body, draft.author) == ("It works again.", "person:ana")
    assert "Proposed. Read it once more" in words(driver)


async def test_the_keyboard_alone_reaches_every_control_and_shows_where_it_is(
    desk: None, address: str, open_chromium: Open
) -> None:
    driver = await asyncio.to_thread(open_chromium)
    await asyncio.to_thread(sign_in, driver, address, "/tickets/T-2")
    controls = "a, button, select, textarea, summary, input:not([type=hidden])"
    wanted = driver.execute_script(f"return document.querySelectorAll('{controls}').length")

    unseen = []
    for _ in range(wanted + 12):
        await asyncio.to_thread(driver.switch_to.active_element.send_keys, Keys.TAB)
        at = driver.switch_to.active_element
        driver.execute_script("arguments[0].dataset.reached = 1", at)
        if not driver.execute_script("return parseFloat(getComputedStyle(arguments[0]).outlineWidth) >= 2", at):
            unseen.append(at.get_attribute("outerHTML")[:80])

    missed = driver.execute_script(
        f"return [...document.querySelectorAll('{controls}')]"
        ".filter((el) => el.checkVisibility() && !el.dataset.reached).map((el) => el.outerHTML.slice(0, 80))"
    )
    assert missed == []
    assert [one for one in unseen if not one.startswith("<body")] == []
