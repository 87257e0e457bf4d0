"""ASSURANCE group D: the people's door against a browser that is led by somebody else."""

import re
from collections.abc import Callable, Iterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from opspilot_mcp.console.sessions import SignIns
from opspilot_mcp.gate import audit
from tests.assurance.conftest import agent_of, ask
from tests.console.conftest import COOKIE, ORIGIN, Browser, Time, signed_in
from tests.gate.conftest import MINUTE, NOON, PASSPHRASE, House

EVIL_HOSTS = ["evil.example", "evil.example:8484", "127.0.0.1", "127.0.0.1:8485", "localhost:8484", "127.0.0.1:8484."]


def routes(app: Starlette | None, message_id: str) -> Iterator[tuple[str, str]]:
    """Yield (method, path) of every route, the static files and one that does not exist."""
    assert app is not None
    for route in app.routes:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/console.css"
        elif isinstance(route, Route):
            path = re.sub(r"\{id\}", message_id, re.sub(r"\{version:int\}", "1", route.path))
            for method in sorted((route.methods or set()) - {"HEAD"}):
                yield method, path
    yield "GET", "/nothing"


async def standing(house: House) -> list[str]:
    """Return everything a decision would change: states, and how many rows the record has."""
    counts = await house.gate.counts()
    head = await house.gate.db.read(audit.head)
    return [str(counts), str(head)]


@pytest.mark.parametrize("host", EVIL_HOSTS)
async def test_d01_another_host_is_refused_on_every_route(ana: Browser, house: House, host: str) -> None:
    message_id = await house.page()
    before = await standing(house)

    found = {}
    for method, path in routes(ana.app, message_id):
        sent = {"host": host, "origin": f"http://{host}", "content-type": "application/x-www-form-urlencoded"}
        found[method, path] = (await ana.http.request(method, path, headers=sent)).status_code

    assert len(found) > 25
    assert set(found.values()) <= {403, 421}
    assert await standing(house) == before


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1:8485"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"content_type": "text/plain"},
    {"content_type": "application/json"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=lambda headers: " ".join(headers.values()))
async def test_d02_post_from_elsewhere_decides_nothing(ana: Browser, house: House, headers: dict[str, str]) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")
    approve = f"/messages/{message_id}/approve"
    before = await standing(house)

    answer = await ana.post(approve, ana.form(approve), **headers)

    assert (answer.status_code, await standing(house)) == (403, before)
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("which", ["missing", "empty", "made up", "used", "another form's", "another session's"])
async def test_d02_form_without_its_own_token_decides_nothing(
    ana: Browser, open_browser: Callable[[], Browser], house: House, which: str
) -> None:
    message_id, other = await house.page(), signed_in(open_browser(), house)
    approve, hold = f"/messages/{message_id}/approve", f"/messages/{message_id}/hold"
    await other.get(f"/messages/{message_id}")
    await ana.get(f"/messages/{message_id}")
    fields = ana.form(approve)
    wrong = {"empty": "", "made up": "0" * 32 + ".0." + "0" * 64, "another form's": ana.form(hold)["token"]}
    wrong |= {"another session's": other.form(approve)["token"], "used": fields["token"]}
    if which == "used":
        await ana.post(approve, fields | {"sha256": "0" * 64})
    fields.pop("token")

    before = await standing(house)
    answer = await ana.post(approve, fields | ({"token": wrong[which]} if which in wrong else {}))

    assert (answer.status_code, await standing(house)) == (403, before)


async def test_d05_sign_in_gives_a_new_cookie_out_of_reach(
    stranger: Browser, open_browser: Callable[[], Browser], house: House
) -> None:
    planted, attacker = SignIns.new_cookie(), open_browser()
    for browser in (stranger, attacker):
        browser.http.cookies.set(COOKIE, planted, domain="127.0.0.1")
    await stranger.get("/sign-in")

    answer = await stranger.post("/sign-in", {**stranger.form("/sign-in"), "name": "ana", "passphrase": PASSPHRASE})

    given = answer.headers.get("set-cookie", "")
    assert planted not in given
    assert "HttpOnly" in given
    assert "samesite=strict" in given.lower()
    assert (await attacker.get("/")).status_code == 401


async def test_d05_every_answer_forbids_framing_and_foreign_code(ana: Browser, house: House) -> None:
    message_id = await house.reply()

    for method, path in routes(ana.app, message_id):
        headers = (await ana.http.request(method, path, headers={"origin": ORIGIN})).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert headers["x-frame-options"] == "DENY", path


async def test_d08_links_in_tool_output_lead_to_the_sign_in_and_act_on_nothing(stranger: Browser, house: House) -> None:
    async with agent_of(house) as agent:
        ticket = await ask(agent, "create_ticket", subject="s", body="b", requester_email="dana@example.com")
        made = await ask(agent, "propose_reply", ticket_id=ticket["id"], body="Private words.")
        await house.gate.sync(now=NOON)
        await house.gate.beat(now=NOON)
        asked = await ask(agent, "request_approval", proposal_id=made["id"])
        outputs = [made, asked, await ask(agent, "list_approvals")]
    links = set(re.findall(r"https?://[^\s`\"',)]+", str(outputs))) | {f"{ORIGIN}/messages/{made['id']}", f"{ORIGIN}/"}
    before = await standing(house)

    for link in sorted(links):
        path = "/" + link.split("/", 3)[3] if link.count("/") > 2 else "/"
        for method, purpose in (("GET", ""), ("HEAD", ""), ("GET", "prefetch")):
            answer = await stranger.http.request(method, path, headers={"sec-purpose": purpose} if purpose else {})
            assert answer.status_code in (401, 404)
            assert "Private words" not in answer.text

    assert await standing(house) == before
    assert not re.search(r"[?&#](token|key|code|secret)=|passphrase", " ".join(links))


async def test_d08_get_never_acts_for_a_signed_in_person_either(ana: Browser, house: House) -> None:
    message_id = await house.page()
    before = await standing(house)

    codes = {(await ana.http.get(path)).status_code for _, path in routes(ana.app, message_id)}

    assert codes <= {200, 404, 405}
    assert await standing(house) == before


async def test_d10_twenty_bad_sign_ins_lock_out_and_are_written_down(stranger: Browser, house: House) -> None:
    for _ in range(20):
        await stranger.sign_in(passphrase="not the right one")

    answer = await stranger.sign_in()

    rows = [row["action"] for row in await house.gate.db.read(audit.newest, limit=100, subject="ana")]
    assert answer.status_code == 401
    assert rows.count("sign_in.failed") >= 5
    assert "sign_in" not in rows


BUSY = tuple(range(10, 480, 10))


@pytest.mark.parametrize(
    ("steps", "status"),
    [((14,), 200), ((15,), 401), (BUSY, 200), ((*BUSY, 480), 401)],
    ids=["14 idle", "15 idle", "busy", "8 hours"],
)
async def test_d10_sign_in_ends_idle_or_old(ana: Browser, time: Time, steps: tuple[int, ...], status: int) -> None:
    for minute in steps:
        time.now = NOON + minute * MINUTE
        answer = await ana.get("/pulse" if minute == 480 else "/gate")

    assert answer.status_code == status


async def test_d10_high_risk_asks_for_the_passphrase_again(ana: Browser, house: House) -> None:
    message_id = await house.reply()
    await ana.get(f"/messages/{message_id}")

    await ana.press(f"/messages/{message_id}/approve", recipient="mira@example.org")

    assert await house.state(message_id) == "pending"
    assert "passphrase" in ana.words
