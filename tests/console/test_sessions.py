"""Signing in, staying signed in, and the single-use tokens of forms: rows D02, D05, D08, D10."""

from collections.abc import Callable

import pytest

from opspilot_mcp.console.sessions import FORM_MS, MAX_SIGN_INS, SignIns
from opspilot_mcp.gate import approvers, audit, state
from tests.console.conftest import COOKIE, Browser, Time, signed_in
from tests.gate.conftest import MINUTE, NOON, PASSPHRASE, House


async def test_a_stranger_gets_the_sign_in_page_everywhere(stranger: Browser, house: House) -> None:
    message_id = await house.reply(body="Words only approvers may read.")

    for path in ("/", f"/messages/{message_id}", f"/messages/{message_id}/bytes", "/gate", "/audit", "/tickets"):
        answer = await stranger.get(path)
        assert answer.status_code == 401
        assert "Sign in to decide" in answer.text
        assert "Words only" not in answer.text


async def test_sign_in_leads_to_where_the_link_led(stranger: Browser, house: House) -> None:
    message_id = await house.reply()
    await stranger.get(f"/messages/{message_id}")

    answer = await stranger.press("/sign-in", name="ana", passphrase=PASSPHRASE)

    assert answer.url.path == f"/messages/{message_id}"


@pytest.mark.parametrize("to", ["//evil.example", "https://evil.example/", "/\\evil.example", "/sign-out", "/a/b/c/d"])
async def test_sign_in_leads_nowhere_else(stranger: Browser, to: str) -> None:
    await stranger.get("/sign-in")

    answer = await stranger.press("/sign-in", name="ana", passphrase=PASSPHRASE, to=to)

    assert str(answer.url) == "http://127.0.0.1:8642/"


async def test_the_cookie_is_new_at_sign_in_and_out_of_reach(stranger: Browser) -> None:
    planted = SignIns.new_cookie()
    stranger.http.cookies.set(COOKIE, planted, domain="127.0.0.1")
    await stranger.get("/sign-in")

    answer = await stranger.post("/sign-in", {**stranger.form("/sign-in"), "name": "ana", "passphrase": PASSPHRASE})

    given = answer.headers["set-cookie"]
    assert planted not in given
    assert "HttpOnly" in given
    assert "samesite=strict" in given.lower()
    assert "domain" not in given.lower()


async def test_a_planted_cookie_is_worth_nothing_after_sign_in(
    open_browser: Callable[[], Browser], stranger: Browser
) -> None:
    planted = SignIns.new_cookie()
    attacker = open_browser()
    for browser in (stranger, attacker):
        browser.http.cookies.set(COOKIE, planted, domain="127.0.0.1")

    await stranger.sign_in()

    assert (await attacker.get("/")).status_code == 401


@pytest.mark.parametrize(("idle_min", "status"), [(14, 200), (15, 401)])
async def test_sign_in_ends_after_15_idle_minutes(ana: Browser, time: Time, idle_min: int, status: int) -> None:
    time.now = NOON + idle_min * MINUTE

    answer = await ana.get("/")

    assert answer.status_code == status


async def test_sign_in_ends_after_8_hours_however_busy(ana: Browser, time: Time) -> None:
    for step in range(1, 48):
        time.now = NOON + step * 10 * MINUTE
        assert (await ana.get("/")).status_code == 200

    time.now = NOON + 480 * MINUTE

    assert (await ana.get("/")).status_code == 401


async def test_a_clock_set_back_locks_nobody_out(stranger: Browser, house: House, time: Time) -> None:
    await house.gate.db.write(state.see, now=NOON + 60 * MINUTE)
    time.now = NOON

    answer = await stranger.sign_in()

    assert answer.status_code == 200


async def test_signing_out_forgets_the_key(ana: Browser) -> None:
    await ana.get("/")
    cookie = ana.http.cookies[COOKIE]

    await ana.press("/sign-out")
    ana.http.cookies.set(COOKIE, cookie, domain="127.0.0.1")

    assert (await ana.get("/")).status_code == 401


async def test_a_wrong_passphrase_and_an_unknown_name_read_the_same(stranger: Browser) -> None:
    await stranger.sign_in(passphrase="not the right one")
    wrong = stranger.words

    await stranger.sign_in(name="bob", passphrase="not the right one")

    assert "The name or the passphrase is wrong" in wrong
    assert "The name or the passphrase is wrong" in stranger.words


async def test_bad_sign_ins_lock_out_and_are_written_down(stranger: Browser, house: House) -> None:
    for _ in range(approvers.BAD_TRIES):
        await stranger.sign_in(passphrase="not the right one")

    answer = await stranger.sign_in()

    assert answer.status_code == 401
    assert "Too many wrong passphrases" in stranger.words
    rows = await house.gate.db.read(audit.newest, limit=50, subject="ana")
    assert [row["action"] for row in rows].count("sign_in.failed") == approvers.BAD_TRIES


async def test_a_revoked_approver_is_signed_out(ana: Browser, house: House) -> None:
    await house.add_approver("bea")
    await house.gate.revoke_approver("ana", by="person:bea", now=NOON)

    answer = await ana.get("/")

    assert answer.status_code == 401


async def test_a_form_is_good_once(ana: Browser, house: House) -> None:
    first, second = await house.page(), await house.page(key="inc-2")
    await ana.get(f"/messages/{first}")
    hold = f"/messages/{first}/hold"
    fields = ana.form(hold)

    before = await ana.post(hold, fields)
    again = await ana.post(hold, fields)

    assert (before.status_code, again.status_code) == (303, 403)
    assert await house.state(second) == "pending"


async def test_a_form_is_good_for_its_own_path_only(ana: Browser, house: House) -> None:
    first, second = await house.page(), await house.page(key="inc-2")
    await ana.get(f"/messages/{first}")

    answer = await ana.post(f"/messages/{second}/approve", ana.form(f"/messages/{first}/approve"))

    assert answer.status_code == 403
    assert await house.state(second) == "pending"


@pytest.mark.parametrize("token", [None, "", "x", "0" * 32 + ".0." + "0" * 64])
async def test_a_form_without_its_token_decides_nothing(ana: Browser, house: House, token: str | None) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    fields = ana.form(f"/messages/{message_id}/approve")
    fields.pop("token")

    answer = await ana.post(f"/messages/{message_id}/approve", fields if token is None else {**fields, "token": token})

    assert answer.status_code == 403
    assert await house.state(message_id) == "pending"


async def test_another_browser_s_token_decides_nothing(
    ana: Browser, open_browser: Callable[[], Browser], house: House
) -> None:
    message_id, other = await house.page(), signed_in(open_browser(), house)
    await other.get(f"/messages/{message_id}")

    answer = await ana.post(f"/messages/{message_id}/approve", other.form(f"/messages/{message_id}/approve"))

    assert answer.status_code == 403
    assert await house.state(message_id) == "pending"


def test_a_token_ends_after_an_hour() -> None:
    store, cookie = SignIns(), SignIns.new_cookie()
    token = store.form_token(cookie, "/look", now=NOON)

    late = store.spend(cookie, "/look", token, now=NOON + FORM_MS)
    in_time = store.spend(cookie, "/look", token, now=NOON + FORM_MS - 1)

    assert (late, in_time) == (False, True)


async def test_sign_ins_are_bounded_and_the_oldest_goes_first(house: House) -> None:
    store = SignIns()
    cookies = [store.open(house.session("ana"), now=NOON) for _ in range(MAX_SIGN_INS + 1)]

    found = [store.find(cookie, now=NOON) is not None for cookie in cookies]

    assert found == [False] + [True] * MAX_SIGN_INS


async def test_looking_at_every_page_decides_nothing(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get("/")
    head = await house.gate.db.read(audit.head)

    for path in [f"/messages/{message_id}{end}" for end in ("", "/approve", "/reject", "/hold", "/edit")] + [
        "/gate/kill"
    ]:
        await ana.get(path)

    assert await house.state(message_id) == "pending"
    assert await house.gate.db.read(audit.head) == head
