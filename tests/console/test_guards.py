"""What may reach a page at all, and the headers every answer carries: rows D01, D02, D05 of the assurance list."""

import sqlite3
from collections.abc import Callable

import pytest
from starlette.datastructures import Headers
from starlette.routing import Route

from opspilot_mcp.console import guards
from tests.builders import stored_ticket
from tests.console.conftest import ORIGIN, Browser
from tests.gate.conftest import NOON, House

HERE = "127.0.0.1:8642"
EVERY_PATH = ["/", "/sign-in", "/messages/PR-1", "/gate", "/audit", "/tickets", "/static/console.css", "/nothing"]


def post(**over: str) -> Headers:
    sent = {"host": HERE, "origin": ORIGIN, "content-type": guards.FORM, **over}
    return Headers({name.replace("_", "-"): value for name, value in sent.items() if value})


@pytest.mark.parametrize("path", EVERY_PATH)
@pytest.mark.parametrize("host", ["evil.example", "localhost:8642", "127.0.0.1", "127.0.0.1:8643", "127.0.0.1:8642."])
async def test_another_host_is_another_site(ana: Browser, path: str, host: str) -> None:
    answer = await ana.get(path, host=host)

    assert answer.status_code == 421


async def test_another_host_cannot_decide(ana: Browser, house: House) -> None:
    message_id = await house.page()
    await ana.get(f"/messages/{message_id}")

    answer = await ana.post(
        f"/messages/{message_id}/approve", ana.form(f"/messages/{message_id}/approve"), host="evil.example:8642"
    )

    assert answer.status_code == 421
    assert await house.state(message_id) == "pending"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:8643"},
        {"origin": "https://127.0.0.1:8642"},
        {"origin": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"content_type": "text/plain"},
        {"content_type": "application/json"},
        {"content_type": "multipart/form-data; boundary=x"},
    ],
)
def test_a_post_from_elsewhere_is_refused(headers: dict[str, str]) -> None:
    assert guards.refusal("POST", post(**headers), HERE) is not None
    assert guards.refusal("POST", post(), HERE) is None


def test_two_hosts_or_two_origins_are_refused() -> None:
    twice_host = Headers(raw=[(b"host", HERE.encode()), (b"host", b"evil.example")])
    twice_origin = Headers(raw=[*post().raw, (b"origin", b"http://evil.example")])

    assert guards.refusal("GET", twice_host, HERE) is not None
    assert guards.refusal("POST", twice_origin, HERE) is not None


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused_everywhere(ana: Browser, method: str) -> None:
    answer = await ana.http.request(method, "/")

    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


def test_another_site_may_link_here_and_load_nothing() -> None:
    link = Headers(
        {"host": HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    )
    frame = Headers(
        {"host": HERE, "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
    )
    image = Headers(
        {"host": HERE, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
    )

    assert guards.refusal("GET", link, HERE) is None
    assert guards.refusal("GET", frame, HERE) is not None
    assert guards.refusal("GET", image, HERE) is not None


@pytest.mark.parametrize("path", EVERY_PATH)
async def test_every_answer_carries_the_headers(stranger: Browser, path: str) -> None:
    answer = await stranger.get(path)

    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


async def test_a_failure_shows_a_code_and_nothing_inside(ana: Browser, house: House) -> None:
    house.gate.checkpoints = None  # type: ignore[assignment]

    answer = await ana.get("/audit?check=1")

    assert answer.status_code == 500
    assert "NoneType" not in answer.text
    assert answer.headers["cache-control"] == "no-store"


async def test_pages_hold_no_script_or_style_of_their_own(ana: Browser, house: House) -> None:
    message_id = await house.reply()

    for path in ("/", f"/messages/{message_id}", "/gate", "/audit", "/dashboard"):
        page = (await ana.get(path)).text
        assert "<style" not in page
        assert " style=" not in page
        assert page.count("<script") == page.count('<script src="/static/console.js" defer></script>')
        assert "http://" not in page.replace("http://www.w3.org", "")


def _decisions(ana: Browser) -> list[str]:
    """Return the path of every form of the console, made for records that exist."""
    names = {"tickets": "T-1", "review": "T-1", "incidents": "INC-1", "messages": "PR-1"}
    paths = [route.path for route in ana.app.routes if isinstance(route, Route) and "POST" in (route.methods or ())]
    return [path.replace("{id}", names.get(path.split("/")[1], "")) for path in paths]


async def _whole(house: House) -> list[object]:
    """Return every row of both databases that a decision could change."""
    raw = [sqlite3.connect(house.root / name) for name in ("desk.db", "gate/gate.db")]
    dumped = [line for one in raw for line in one.iterdump() if "learner" in line or line.startswith("INSERT")]
    for one in raw:
        one.close()
    return [line for line in dumped if "sign_ins" not in line]


@pytest.mark.parametrize("how", ["without a token", "another page's token", "foreign origin", "not signed in"])
async def test_every_form_of_the_console_is_guarded(
    ana: Browser, open_browser: Callable[[], Browser], house: House, how: str
) -> None:
    await house.page()
    await house.desk.write(stored_ticket, now=NOON)
    await ana.get("/gate")
    token, stranger = ana.form("/gate/kill")["token"], open_browser()
    before = await _whole(house)

    answers = {}
    for path in _decisions(ana):
        if path in ("/sign-in", "/gate/kill"):
            continue
        fields = {
            "version": "1",
            "category": "billing",
            "body": "x",
            "say": "confirm",
            "ticket": "T-1",
            "incident": "INC-1",
        }
        by = stranger if how == "not signed in" else ana
        if how == "another page's token":
            fields["token"] = token
        origin = {"origin": "http://evil.example"} if how == "foreign origin" else {}
        answers[path] = (await by.post(path, fields, **origin)).status_code

    assert len(answers) > 14
    assert set(answers.values()) == {401 if how == "not signed in" else 403}
    assert await _whole(house) == before
