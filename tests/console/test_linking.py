"""Tickets and incidents are joined from either page, with one press, and a wrong guess does not come back."""

import pytest
from sqlalchemy import Connection

from opspilot_mcp.aiops import incidents
from opspilot_mcp.insights import impact
from tests.aiops.storms import alert, estate, fault, fold
from tests.builders import stored_ticket
from tests.conftest import MINUTE, NOON
from tests.console.conftest import Browser
from tests.gate.conftest import House


def _storm(conn: Connection) -> None:
    """INC-1 at cart-db and cart; T-1 is about it."""
    estate(conn)
    fold(conn, [fault(1), alert(2, at=20)])
    stored_ticket(conn, subject="Help", body="My cart is empty.", created_ms=NOON + MINUTE)


@pytest.fixture(autouse=True)
async def _desk(house: House) -> None:
    await house.desk.write(_storm)


async def linked(house: House) -> list[tuple[str, str, bool]]:
    found = await house.desk.read(impact.links_of_incident, "INC-1")
    return [(one.ticket, one.by, one.is_confirmed) for one in found]


@pytest.mark.parametrize(
    ("page", "field", "other"), [("/incidents/INC-1", "ticket", "T-1"), ("/tickets/T-1", "incident", "INC-1")]
)
async def test_a_suggestion_is_confirmed_from_either_page(
    ana: Browser, house: House, page: str, field: str, other: str
) -> None:
    await ana.get(page)
    before = ana.words

    await ana.press(f"{page}/link")

    assert ana.page.count(f'name="{field}" value="{other}"') == 2
    assert "names cart ; came" in before
    assert await linked(house) == [("T-1", "person:ana", True)]
    assert "T-1 is linked to INC-1." in ana.words
    assert "confirmed linked by person:ana" in ana.words


async def test_not_this_one_is_gone_from_both_pages_for_good(ana: Browser, house: House) -> None:
    await ana.get("/tickets/T-1")
    await ana.press("/tickets/T-1/link", at=1)
    words = ana.words
    await ana.get("/incidents/INC-1")

    assert "INC-1 does not explain T-1" in words
    assert "None that words and time point to." in ana.words
    assert await linked(house) == []


async def test_an_agents_link_is_shown_as_not_confirmed_until_a_person_says_so(ana: Browser, house: House) -> None:
    await house.desk.write(impact.confirm, "INC-1", "T-1", by="agent:bot", now=NOON)
    await ana.get("/incidents/INC-1")
    before = ana.words

    await ana.press("/incidents/INC-1/link")

    assert "not confirmed linked by agent:bot" in before
    assert await linked(house) == [("T-1", "person:ana", True)]


async def test_a_resolved_incident_names_the_tickets_that_wait_for_the_news(ana: Browser, house: House) -> None:
    await house.desk.write(impact.confirm, "INC-1", "T-1", by="person:ana", now=NOON)
    await house.desk.write(incidents.move, "INC-1", "resolved", actor="agent:bot", now=NOON)

    await ana.get("/incidents/INC-1")

    assert "It is resolved. 1 linked ticket may wait for the news: T-1 ." in ana.words


async def test_a_word_the_form_does_not_know_changes_nothing(ana: Browser, house: House) -> None:
    await ana.get("/incidents/INC-1")

    answer = await ana.press("/incidents/INC-1/link", say="delete")

    assert answer.status_code == 409
    assert await linked(house) == []
