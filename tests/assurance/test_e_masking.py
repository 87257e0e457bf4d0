"""ASSURANCE E19: what a language model reads of a ticket, and what stays away from it."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from benchmarks.masking import texts_in
from opspilot_mcp.app import App
from opspilot_mcp.desk import flow, tickets
from opspilot_mcp.engines import Letter, prompts
from opspilot_mcp.masking import mask, masks_in
from opspilot_mcp.policy import Policy
from opspilot_mcp.settings import Settings
from tests.assurance.conftest import ALIASES, BENCH
from tests.assurance.personal import harmless, personal, told
from tests.assurance.test_e_content import SECRETS
from tests.builders import stored_ticket
from tests.conftest import FakeClock
from tests.engines.api_server import ApiServer
from tests.engines.conftest import TAXONOMY, Make, api, books, make
from tests.gate.conftest import MINUTE, NOON, House

__all__ = ["api", "books", "make"]  # fixtures

PERSONAL = ["4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "078-05-1120", SECRETS["AWS"], SECRETS["Stripe"]]
ORDERS = ["order 20261121-77", "T-1042", "4111 1111 1111 1112", "ref 1234567890123456", "v2026.11.21"]
EDGES = {
    "2720 9900 0000 0007": True,  # the last Mastercard range, and the first number after it
    "2721 0000 0000 0004": False,
    "4222222222222": True,  # thirteen digits: the shortest card, and a bar code
    "4006381333931": False,
    "899-99-9999": True,
    "900-99-9999": False,
    "123-00-4567": False,
    "DE89370400440532013000": True,
    "DE88370400440532013000": False,
    "DE893704004405320130001": False,
    "exp 4111 1111 1111 1111 1227 123": True,
    "4111 1111 1111\n1111": True,
    "4111\n1111\n1111\n1111": False,
    "+4111111111111111": False,
    "a4111111111111111": False,
}


@pytest.mark.parametrize("value", PERSONAL)
def test_e19_personal_data_is_masked_on_its_way_to_a_model(value: str) -> None:
    letter = Letter(ticket="T-1", subject=f"Help {value}", body=f"It is {value}, please help.", requester_name=value)

    assert value not in prompts.fenced(letter)


@pytest.mark.parametrize("value", ORDERS)
def test_e19_order_numbers_reach_the_model_as_they_are(value: str) -> None:
    letter = Letter(ticket="T-1", subject="Help", body=f"My order is {value}, please help.", requester_name="Mira")

    assert value in prompts.fenced(letter)


@pytest.mark.parametrize(("text", "is_masked"), EDGES.items(), ids=ascii)
def test_e19_a_number_is_masked_by_its_proof(text: str, is_masked: bool) -> None:
    assert (mask(text) != text) is is_masked


def masked_share(values: Iterable[tuple[str, str]]) -> tuple[float, Counter[str]]:
    """Return the share of values that a model would not read, and how many by kind."""
    all_of_them = list(values)
    hit = Counter(kind for at, (kind, value) in enumerate(all_of_them) if value not in mask(told(value, at)))
    return hit.total() / len(all_of_them), hit


def test_e19_recall_and_false_positives_are_reported(record_property: Any, capsys: pytest.CaptureFixture[str]) -> None:
    recall, _ = masked_share(personal())
    wrong, kinds = masked_share(harmless())
    record_property("recall", recall)
    record_property("false positives", wrong)
    with capsys.disabled():
        print(f"\nE19 masked: {recall:.2%} of what must be, {wrong:.2%} of what must stay {dict(kinds)}")  # noqa: T201

    assert recall >= 0.99
    assert wrong <= 0.005


def test_e19_no_public_text_loses_a_number() -> None:
    texts = [text for folder in ("injection", "tickets/data") for text in texts_in(BENCH / folder)]
    if not texts:
        pytest.skip("bench data is not beside the project: set OPSPILOT_BENCH")

    found = [one for text in texts for one in masks_in(mask(text))]

    assert set(found) <= {"[secret: an address with a password]"}


def test_e19_a_mask_is_not_masked_again_and_keeps_the_last_four() -> None:
    once = mask(" and ".join(PERSONAL))

    assert mask(once) == once
    assert masks_in(once) == [
        "[card ...1111]", "[IBAN ...3000]", "[SSN ...1120]", "[secret: an AWS access key]", "[secret: a Stripe key]",
    ]  # fmt: skip


def test_e19_a_cut_shows_no_half_of_a_number() -> None:
    body = "x" * 5_990 + " 4111 1111 1111 1111 " + "y" * 9_000

    assert "4111" not in prompts.fenced(Letter(ticket="T-1", subject="s", body=body))


async def test_e19_no_request_to_the_model_and_no_book_holds_it(make: Make, api: ApiServer, tmp_path: Path) -> None:
    engine = make()
    letter = Letter(ticket="T-1", subject=PERSONAL[0], body=" ".join(PERSONAL), requester_name=PERSONAL[3])

    await engine.read(letter, TAXONOMY)
    await engine.submit([letter.model_copy(update={"subject": "other"})], TAXONOMY)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    sent = json.dumps([api.requests, api.batches], default=str)
    assert "[card ...1111]" in sent
    assert [value for value in PERSONAL if value in sent or value.encode() in written] == []


async def drafted(house: House, api: ApiServer, make: Make, policy: Policy) -> tuple[str, str]:
    """Let a model draft a reply to a ticket with a card number; returns what it was sent, and the ticket's text."""
    ticket = await house.desk.write(stored_ticket, body=f"Card {PERSONAL[0]} was charged twice.")
    opened = App(db=house.desk, policy=policy, settings=Settings(home=house.root), principal="a", now=FakeClock(NOON))
    opened.__dict__["engine"] = make()
    await flow.draft(opened, ticket.id, None, macros=())
    return json.dumps(api.requests), (await house.desk.read(tickets.get, ticket.id)).body


async def test_e19_the_ticket_stays_as_it_was_written(house: House, api: ApiServer, make: Make) -> None:
    sent, body = await drafted(house, api, make, ALIASES)

    assert PERSONAL[0] not in sent
    assert PERSONAL[0] in body


async def test_e19_the_operator_may_send_tickets_as_they_are(house: House, api: ApiServer, make: Make) -> None:
    sent, _ = await drafted(house, api, make, Policy.model_validate({"engine": {"masked": False}}))

    assert PERSONAL[0] in sent


async def test_e19_an_answer_with_a_mask_in_it_does_not_go_out(house: House) -> None:
    message_id = await house.reply(body="We refunded [card ...1111].")

    with pytest.raises(Exception, match=r"a mask .* Edit it out"):
        await house.approve(message_id)
    await house.tick(NOON + MINUTE)

    assert (await house.gate.view(message_id)).message.risk == "blocked"
    assert house.sent() == {}


async def test_e19_no_table_but_the_tickets_own_holds_it(house: House, api: ApiServer, make: Make) -> None:
    await drafted(house, api, make, ALIASES)

    held = await house.desk.read(tables_with, PERSONAL[0])

    assert {name for name in held if not name.startswith("ticket")} == set()


def tables_with(conn: Connection, value: str) -> list[str]:
    """Return the tables in which a value stands anywhere."""
    names = conn.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
    return [name for name in names if value in str(conn.exec_driver_sql(f'SELECT * FROM "{name}"').all())]  # noqa: S608
