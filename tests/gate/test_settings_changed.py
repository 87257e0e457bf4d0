"""gate.toml changes while messages wait: a signature does not follow an alias to another place."""

import pytest

from opspilot_mcp.errors import BadSetting, NotAllowed
from opspilot_mcp.gate import policy
from opspilot_mcp.gate.service import Gate
from tests.gate.conftest import MINUTE, NOON, House

FILES = '[channels.replies]\nkind = "file"\n[channels.oncall]\nkind = "file"\n'
MAIL = (
    '[channels.replies]\nkind = "file"\n[channels.oncall]\nkind = "smtp"\nhost = "{host}"\nto = "oncall@example.org"\n'
)


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        (FILES, '[channels.replies]\nkind = "file"\n[channels.pager]\nkind = "file"\n', "no such channel"),
        (FILES, MAIL.format(host="mail.example.org"), "elsewhere"),
        (MAIL.format(host="mail.example.org"), MAIL.format(host="evil.example"), "elsewhere"),
        (FILES, f'sender = "eve@evil.example"\n{FILES}', "elsewhere"),
    ],
    ids=["renamed", "another kind", "another server", "another sender"],
)
async def test_b01_a_signature_does_not_follow_an_alias(house: House, before: str, after: str, why: str) -> None:
    await house.settings(before)
    message_id = await house.page()
    await house.approve(message_id)

    await house.settings(after)
    await house.tick(NOON + MINUTE)

    message = (await house.gate.view(message_id)).message
    assert (message.state, house.sent()) == ("void", {})
    assert why in message.detail
    assert (await house.told(message_id)).state == "rejected"


async def test_b01_a_time_limit_is_no_destination(house: House) -> None:
    kept = MAIL.format(host="mail.example.org")
    slower = policy.GatePolicy.model_validate(
        {
            "channels": {
                "oncall": {"kind": "smtp", "host": "mail.example.org", "to": "oncall@example.org", "timeout_s": 9}
            }
        }
    )
    await house.settings(kept)

    assert house.gate.authority.policy.destination_sha256("oncall") == slower.destination_sha256("oncall")


async def test_b01_a_person_cannot_sign_for_a_place_the_dispatcher_does_not_know(house: House) -> None:
    message_id = await house.page()
    house.gate.home.settings.write_text(MAIL.format(host="evil.example"))
    terminal = await Gate.open(house.root, now=NOON)

    with pytest.raises(NotAllowed, match="leads oncall elsewhere"):
        await terminal.approve_as(
            house.session("ana"),
            message_id,
            shown_sha256=(await house.gate.view(message_id)).message.sha256,
            fresh=True,
            now=NOON,
        )
    await terminal.close()
    await house.tick(NOON + MINUTE)

    assert (await house.state(message_id), house.sent()) == ("pending", {})


async def test_a_wrong_setting_stops_the_gate_by_name_and_loses_nothing(house: House) -> None:
    message_id = await house.page()
    await house.approve(message_id)
    house.gate.home.settings.write_text('[channels.replies]\nkind = "file"\nurl = "x"\n')

    with pytest.raises(BadSetting, match=r"gate\.toml: channels\.replies"):
        await house.reopen()
    house.gate.home.settings.write_text(FILES)
    house.gate = await Gate.open(house.root, now=NOON)
    await house.tick(NOON + MINUTE)

    assert list(house.sent()) == [f"{message_id}.v1.json"]
