"""From a proposal to the file, the way a person takes it."""

import hashlib

from tests.gate.conftest import NOON, House


async def test_signed_reply_arrives_as_the_shown_bytes(house: House) -> None:
    message_id = await house.reply()
    view = await house.gate.view(message_id)

    await house.approve(message_id)
    sent = await house.tick(NOON + 1000)

    [(name, content)] = house.sent().items()
    assert (sent, name) == (1, f"{message_id}.v1.eml")
    assert hashlib.sha256(content).hexdigest() == view.message.sha256
    assert (await house.told(message_id)).state == "sent"


async def test_nothing_leaves_without_a_signature(house: House) -> None:
    message_id = await house.reply()

    await house.tick(NOON + 1000)

    assert house.sent() == {}
    assert (await house.told(message_id)).state == "pending"


async def test_page_becomes_json_in_the_sent_folder(house: House) -> None:
    message_id = await house.page()

    await house.approve(message_id)
    await house.tick(NOON + 1000)

    assert list(house.sent()) == [f"{message_id}.v1.json"]
