"""Each channel against a real server on loopback: the bytes that arrive, and what each failure means (F03, I10)."""

import asyncio
import base64
import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.gate import compose
from opspilot_mcp.gate.channels import Envelope, SendFailed, Wire, outlet, secret, web
from opspilot_mcp.gate.policy import FileChannel, GatePolicy, SlackChannel, SmtpChannel, WebhookChannel
from tests.gate.conftest import MINUTE, NOON, House, check_invariant
from tests.gate.sinks import broken_mail_server, free_port, mail_server, server_tls, smtp_until, web_server

POLICY = GatePolicy(sender="support@example.org")
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def wire(tmp_path: Path, *allowed: str) -> Wire:
    (tmp_path / "sent").mkdir(exist_ok=True)
    return Wire(tmp_path, tmp_path / "sent", frozenset(allowed))


def envelope(content: bytes = b"", *, kind: str = "reply") -> Envelope:
    words = compose.Words(kind, "T-1", "Re: Grüße", ".dots\nfirst\n..two\nlong " + "x" * 2000)
    mail = compose.mail(words, POLICY, recipient="mira@example.org", event_id="e1@x", references=["r@x"], now=NOON)
    return Envelope("PR-1", 1, kind, "mira@example.org", POLICY.sender, "pr-1.v1.abc@x", content or mail, NOON)


def smtp(port: int, **more: object) -> SmtpChannel:
    values = {"kind": "smtp", "host": "127.0.0.1", "port": port, "tls": "none", "timeout_s": 1, **more}
    return SmtpChannel.model_validate(values)


def hook(port: int, **more: object) -> WebhookChannel:
    values = {"kind": "webhook", "url": f"http://127.0.0.1:{port}/in?x=1", "secret_env": "OPSPILOT_GATE_HOOK"}
    return WebhookChannel.model_validate({**values, "timeout_s": 1, **more})


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSPILOT_GATE_HOOK", SECRET)
    monkeypatch.setenv("OPSPILOT_GATE_MAIL", "hunter22")
    monkeypatch.setenv("OPSPILOT_GATE_TOKEN", "xoxb-1")


# -- mail --------------------------------------------------------------------------------------------------------------


def test_mail_arrives_byte_for_byte(tmp_path: Path) -> None:
    sent = envelope()
    with mail_server() as box:
        outlet.send(sent, smtp(box.port), wire(tmp_path, f"127.0.0.1:{box.port}"))

    assert box.arrived == [sent.content]
    assert box.recipients == ["mira@example.org"]


@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_mail_goes_over_checked_tls_with_a_password(tmp_path: Path, mode: str) -> None:
    context = server_tls(tmp_path, "127.0.0.1")
    with mail_server(password="hunter22", **{mode: context}) as box:
        channel = smtp(
            box.port, tls=mode, ca_file="cert.pem", username="desk", password_env="OPSPILOT_GATE_MAIL", timeout_s=5
        )
        outlet.send(envelope(), channel, wire(tmp_path))

    assert len(box.arrived) == 1


@pytest.mark.parametrize("mode", ["starttls", "tls"])
def test_mail_server_with_another_name_gets_nothing(tmp_path: Path, mode: str) -> None:
    context = server_tls(tmp_path, "mail.example.org")
    secure: dict[str, Any] = {mode: context}
    with mail_server(**secure) as box, pytest.raises(SendFailed, match="certificate") as failed:
        outlet.send(envelope(), smtp(box.port, tls=mode, ca_file="cert.pem", timeout_s=5), wire(tmp_path))

    assert (failed.value.permanent, box.arrived) == (True, [])


def test_starttls_stripped_by_the_server_sends_nothing(tmp_path: Path) -> None:
    with mail_server() as box, pytest.raises(SendFailed) as failed:
        outlet.send(envelope(), smtp(box.port, tls="starttls"), wire(tmp_path))

    assert (failed.value.permanent, failed.value.maybe_sent, box.arrived) == (True, False, [])


def test_plain_mail_to_a_server_that_is_not_named_private_is_refused(tmp_path: Path) -> None:
    with mail_server() as box, pytest.raises(SendFailed, match="allow_private"):
        outlet.send(envelope(), smtp(box.port), wire(tmp_path))

    assert box.arrived == []


@pytest.mark.parametrize(
    ("stage", "then", "permanent", "maybe"),
    [
        ("greet", "drop", False, False),
        ("greet", "421 busy", False, False),
        ("greet", "554 no", True, False),
        ("greet", "hang", False, False),
        ("mail", "drop", False, False),
        ("mail", "451 later", False, False),
        ("rcpt", "550 unknown", True, False),
        ("rcpt", "450 greylisted", False, False),
        ("data", "drop", False, False),
        ("data", "452 full", False, False),
        ("body", "drop", False, True),
        ("body", "hang", False, True),
        ("body", "451 later", False, False),
        ("body", "554 refused", True, False),
    ],
)
def test_f03_mail_failure_is_judged_by_the_step_it_came_in(
    tmp_path: Path, stage: str, then: str, permanent: bool, maybe: bool
) -> None:
    with broken_mail_server(smtp_until(stage, then=then)) as script, pytest.raises(SendFailed) as failed:
        outlet.send(envelope(), smtp(script.port), wire(tmp_path, f"127.0.0.1:{script.port}"))

    assert (failed.value.permanent, failed.value.maybe_sent) == (permanent, maybe)


def test_f03_drop_after_the_servers_yes_is_still_sent(tmp_path: Path) -> None:
    with broken_mail_server(smtp_until("body", then="250 taken")) as script:
        answer = outlet.send(envelope(), smtp(script.port), wire(tmp_path, f"127.0.0.1:{script.port}"))

    assert "took it" in answer


def test_wrong_mail_password_is_permanent_and_never_shown(tmp_path: Path) -> None:
    context = server_tls(tmp_path, "127.0.0.1")
    more = {"tls": "starttls", "ca_file": "cert.pem", "username": "desk", "password_env": "OPSPILOT_GATE_MAIL"}
    with mail_server(starttls=context, password="other") as box, pytest.raises(SendFailed) as failed:
        outlet.send(envelope(), smtp(box.port, timeout_s=5, **more), wire(tmp_path))

    assert failed.value.permanent
    assert "hunter22" not in str(failed.value)


# -- webhook -----------------------------------------------------------------------------------------------------------


def test_webhook_carries_the_bytes_and_a_signature_others_can_check(tmp_path: Path) -> None:
    standardwebhooks = pytest.importorskip("standardwebhooks")
    body = json.dumps({"text": "Grüße"}).encode()
    sent = envelope(body, kind="page")
    with web_server() as sink:
        outlet.send(sent, hook(sink.port, headers={"X-Team": "ops"}), wire(tmp_path, f"127.0.0.1:{sink.port}"))

    [(path, headers, arrived)] = sink.arrived
    assert (path, arrived, headers["x-team"]) == ("/in?x=1", body, "ops")
    assert headers["idempotency-key"] == headers["webhook-id"] == sent.event_id
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signer = standardwebhooks.Webhook(SECRET)
    expected = signer.sign(sent.event_id, datetime.datetime.fromtimestamp(NOON / 1000, datetime.UTC), arrived.decode())
    assert (headers["webhook-signature"], len(key)) == (expected, 32)


@pytest.mark.parametrize(
    ("status", "headers", "permanent", "maybe", "wait"),
    [
        (301, {"Location": "http://127.0.0.1/else"}, True, False, None),
        (307, {"Location": "/again"}, True, False, None),
        (400, {}, True, False, None),
        (404, {}, True, False, None),
        (408, {}, False, False, None),
        (429, {"Retry-After": "7"}, False, False, 7.0),
        (429, {"Retry-After": "Sat, 21 Nov 2026 12:01:00 GMT"}, False, False, 60.0),
        (429, {"Retry-After": "soon"}, False, False, None),
        (500, {}, False, True, None),
        (502, {}, False, True, None),
        (503, {"Retry-After": "3"}, False, False, 3.0),
    ],
)
def test_f03_web_answer_is_judged_by_what_it_says(
    tmp_path: Path, status: int, headers: dict[str, str], permanent: bool, maybe: bool, wait: float | None
) -> None:
    with web_server((status, headers, b"no")) as sink, pytest.raises(SendFailed) as failed:
        outlet.send(envelope(b"{}"), hook(sink.port), wire(tmp_path, f"127.0.0.1:{sink.port}"))

    found = failed.value
    assert (found.permanent, found.maybe_sent, found.retry_after_s) == (permanent, maybe, wait)
    assert len(sink.arrived) == 1


@pytest.mark.parametrize("behave", ["drop", "hang"])
def test_f03_web_answer_that_never_comes_is_doubt(tmp_path: Path, behave: str) -> None:
    with web_server(behave=behave) as sink, pytest.raises(SendFailed) as failed:
        outlet.send(envelope(b"{}"), hook(sink.port), wire(tmp_path, f"127.0.0.1:{sink.port}"))

    assert (failed.value.permanent, failed.value.maybe_sent) == (False, True)


def test_f03_nobody_listening_is_known_not_sent(tmp_path: Path) -> None:
    port = free_port()

    with pytest.raises(SendFailed) as failed:
        outlet.send(envelope(b"{}"), hook(port), wire(tmp_path, f"127.0.0.1:{port}"))

    assert (failed.value.permanent, failed.value.maybe_sent) == (False, False)


def test_webhook_over_tls_checks_the_name(tmp_path: Path) -> None:
    with web_server(tls=server_tls(tmp_path, "localhost")) as sink:
        good = hook(sink.port, url=f"https://localhost:{sink.port}/", ca_file="cert.pem", timeout_s=5)
        bad = hook(sink.port, url=f"https://127.0.0.1:{sink.port}/", ca_file="cert.pem", timeout_s=5)
        allowed = wire(tmp_path, f"localhost:{sink.port}", f"127.0.0.1:{sink.port}")
        outlet.send(envelope(b"{}"), good, allowed)
        with pytest.raises(SendFailed, match="certificate"):
            outlet.send(envelope(b"{}"), bad, allowed)

    assert len(sink.arrived) == 1


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::]", "0.0.0.1", "2130706433", "0x7f.1", "169.254.169.254", "10.0.0.1",
     "192.168.1.1", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]", "100.64.0.1", "[64:ff9b::7f00:1]", "224.0.0.1"],
)  # fmt: skip
def test_i10_private_address_is_refused_however_it_is_written(tmp_path: Path, host: str) -> None:
    with pytest.raises(SendFailed) as failed:
        outlet.send(envelope(b"{}"), hook(80, url=f"https://{host}/"), wire(tmp_path))

    assert not failed.value.maybe_sent


def test_i10_name_that_also_has_a_private_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(2, 1, 6, "", ("93.184.215.14", 443)), (2, 1, 6, "", ("127.0.0.1", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: both)

    with pytest.raises(SendFailed, match="private network"):
        web.checked_addresses("rebind.example.org", 443, wire(tmp_path))


def test_plain_http_is_refused_unless_the_operator_named_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.getaddrinfo", lambda *_a, **_k: [(2, 1, 6, "", ("93.184.215.14", 80))])

    with pytest.raises(SendFailed, match="not https"):
        outlet.send(envelope(b"{}"), hook(80, url="http://example.org/"), wire(tmp_path))


@pytest.mark.parametrize("value", ["", "whsec_short", "whsec_%%%", "plain"])
def test_webhook_without_a_usable_secret_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("OPSPILOT_GATE_HOOK", value)

    with web_server() as sink, pytest.raises(SendFailed):
        outlet.send(envelope(b"{}"), hook(sink.port), wire(tmp_path, f"127.0.0.1:{sink.port}"))

    assert sink.arrived == []


# -- Slack -------------------------------------------------------------------------------------------------------------

HOSTILE = "<!channel> <@U123> <https://evil.example|ok> @here & https://evil.example/x *bold* :wave: </end>"


def bot(port: int) -> SlackChannel:
    url = f"http://127.0.0.1:{port}/api/chat.postMessage"
    return SlackChannel(kind="slack", token_env="OPSPILOT_GATE_TOKEN", channel_id="C0123456", api_url=url)


def slack_content(body: str = HOSTILE, title: str = "db & <down>") -> bytes:
    channel = SlackChannel(kind="slack", token_env="OPSPILOT_GATE_TOKEN", channel_id="C0123456")
    words = compose.Words("page", "INC-1", title, body)
    return compose.build(words, channel, POLICY, recipient="oncall", event_id="e1", references=[], now=NOON)


def test_no_word_of_a_page_can_mention_link_or_unfurl_in_slack() -> None:
    message = json.loads(slack_content())
    texts = [message["text"], *(block["text"]["text"] for block in message["blocks"])]

    assert not any("<" in text or ">" in text or "://" in text or "@here" in text for text in texts)
    assert {block["text"]["type"] for block in message["blocks"]} == {"plain_text"}
    assert (message["parse"], message["link_names"], message["unfurl_links"]) == ("none", False, False)


def test_slack_message_is_shown_whole_from_its_bytes() -> None:
    body = "a<b&c>" * 1500

    read = compose.read(slack_content(body), "slack", "page")

    assert read.text == body
    assert all(len(block["text"]["text"]) <= 3000 for block in json.loads(slack_content(body))["blocks"])


def test_slack_bytes_that_say_two_things_are_not_shown() -> None:
    message = json.loads(slack_content())
    message["text"] = "something else"

    with pytest.raises(InvalidInput):
        compose.read(json.dumps(message).encode(), "slack", "page")


def test_slack_bot_token_posts_the_bytes(tmp_path: Path) -> None:
    content = slack_content()
    with web_server((200, {}, b'{"ok": true, "ts": "1700000000.1"}')) as sink:
        outlet.send(envelope(content, kind="page"), bot(sink.port), wire(tmp_path, f"127.0.0.1:{sink.port}"))

    [(path, headers, body)] = sink.arrived
    assert (path, headers["authorization"], body) == ("/api/chat.postMessage", "Bearer xoxb-1", content)


@pytest.mark.parametrize(
    ("answer", "permanent", "maybe"),
    [
        (b'{"ok": false, "error": "channel_not_found"}', True, False),
        (b'{"ok": false, "error": "invalid_auth"}', True, False),
        (b'{"ok": false, "error": "ratelimited"}', False, False),
        (b'{"ok": false, "error": "internal_error"}', False, True),
        (b"<html>", False, True),
        (b"[]", False, True),
    ],
)
def test_f03_slack_verdict_is_read_behind_its_200(tmp_path: Path, answer: bytes, permanent: bool, maybe: bool) -> None:
    with web_server((200, {}, answer)) as sink, pytest.raises(SendFailed) as failed:
        outlet.send(envelope(slack_content()), bot(sink.port), wire(tmp_path, f"127.0.0.1:{sink.port}"))

    assert (failed.value.permanent, failed.value.maybe_sent) == (permanent, maybe)


def test_slack_webhook_url_comes_from_a_private_file(tmp_path: Path) -> None:
    with web_server() as sink:
        file = tmp_path / "slack.url"
        file.write_text(f"http://127.0.0.1:{sink.port}/services/T0/B0/x\n")
        file.chmod(0o600)
        channel = SlackChannel(kind="slack", webhook_url_file="slack.url")
        outlet.send(envelope(slack_content()), channel, wire(tmp_path, f"127.0.0.1:{sink.port}"))

    assert sink.arrived[0][0] == "/services/T0/B0/x"


# -- files and secrets -------------------------------------------------------------------------------------------------


def test_file_is_private_and_written_once(tmp_path: Path) -> None:
    sent = envelope()
    for _ in range(2):
        outlet.send(sent, FileChannel(kind="file"), wire(tmp_path))

    [path] = (tmp_path / "sent").iterdir()
    assert (path.stat().st_mode & 0o777, path.read_bytes()) == (0o600, sent.content)


def test_file_of_that_name_with_other_bytes_is_left_alone(tmp_path: Path) -> None:
    wired = wire(tmp_path)
    (tmp_path / "sent" / "PR-1.v1.eml").write_bytes(b"other")

    with pytest.raises(SendFailed) as failed:
        outlet.send(envelope(), FileChannel(kind="file"), wired)

    assert failed.value.permanent
    assert (tmp_path / "sent" / "PR-1.v1.eml").read_bytes() == b"other"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_secret_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "s").write_text("x")
    (tmp_path / "s").chmod(mode)

    with pytest.raises(SendFailed, match="chmod 600"):
        secret.read(None, "s", tmp_path)


def test_secret_file_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "s").symlink_to(tmp_path / "real")

    with pytest.raises(SendFailed):
        secret.read(None, "s", tmp_path)


# -- the whole way -----------------------------------------------------------------------------------------------------


def _mail_settings(port: int) -> str:
    return (
        f'sender = "support@example.org"\n[network]\nallow_private = ["127.0.0.1:{port}"]\n'
        f'[channels.replies]\nkind = "smtp"\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\ntimeout_s = 1\n'
        f'[channels.oncall]\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/"\n'
        'secret_env = "OPSPILOT_GATE_HOOK"\ntimeout_s = 1\n'
    )


async def test_signed_reply_arrives_in_a_mail_server_with_the_shown_bytes(house: House) -> None:
    with mail_server() as box:
        await house.settings(_mail_settings(box.port))
        await house.approve(message_id := await house.reply(body="Bitte prüfen: ünïcode.\n.dot\n"))
        await house.tick(NOON + MINUTE)

    assert await house.state(message_id) == "sent"
    check_invariant(house.root, box.arrived)
    assert len(box.arrived) == 1


async def test_f03_doubtful_mail_becomes_uncertain_and_is_not_sent_again(house: House) -> None:
    with broken_mail_server(smtp_until("body", then="drop")) as script:
        await house.settings(_mail_settings(script.port))
        await house.approve(message_id := await house.reply())
        await house.tick(NOON + MINUTE)
        await house.tick(NOON + 60 * MINUTE)

    assert (await house.state(message_id), script.connections) == ("uncertain", 1)


async def test_f03_refused_mail_is_tried_again_and_then_given_up(house: House) -> None:
    with broken_mail_server(smtp_until("rcpt", then="450 later")) as script:
        await house.settings(_mail_settings(script.port) + "[limits]\ntries = 3\n")
        await house.approve(message_id := await house.reply())
        for minute in range(1, 100):
            await house.tick(NOON + minute * MINUTE)

    assert (await house.state(message_id), script.connections) == ("failed", 3)
    assert "gave up" in (await house.gate.view(message_id)).message.detail


async def test_f04_retries_end_with_the_approval(house: House) -> None:
    with broken_mail_server(smtp_until("rcpt", then="450 later")) as script:
        await house.settings(_mail_settings(script.port) + "[limits]\ntries = 50\n")
        await house.approve(message_id := await house.reply())
        await house.tick(NOON + MINUTE)
        tried = script.connections
        await house.tick(NOON + 240 * MINUTE)

    assert (await house.state(message_id), script.connections) == ("expired", tried)
    assert (await house.told(message_id)).state == "expired"


async def test_f03_retry_after_is_waited_for(house: House) -> None:
    with web_server((429, {"Retry-After": "600"}, b""), (200, {}, b"")) as sink:
        await house.settings(_mail_settings(sink.port))
        await house.approve(message_id := await house.page())
        await house.tick(NOON + MINUTE)
        await house.tick(NOON + 10 * MINUTE)
        assert (len(sink.arrived), await house.state(message_id)) == (1, "retry")

        await house.tick(NOON + 12 * MINUTE)

    assert await house.state(message_id) == "sent"
    assert len({headers["idempotency-key"] for _, headers, _ in sink.arrived}) == 1


async def test_f03_webhook_that_drops_repeats_is_tried_again_with_the_same_key(house: House) -> None:
    with web_server((500, {}, b""), (200, {}, b"")) as sink:
        await house.settings(_mail_settings(sink.port) + "idempotent = true\n")
        await house.approve(message_id := await house.page())
        await house.tick(NOON + MINUTE)
        await house.tick(NOON + 10 * MINUTE)

    assert await house.state(message_id) == "sent"
    assert len({headers["webhook-id"] for _, headers, _ in sink.arrived}) == 1
    assert len(sink.arrived) == 2


async def test_hanging_server_does_not_hold_up_the_others(house: House) -> None:
    with broken_mail_server(smtp_until("greet", then="hang")) as script:
        await house.settings(_mail_settings(script.port) + '[channels.filed]\nkind = "file"\n')
        await house.approve(slow := await house.reply())
        await house.approve(quick := await house.page(channel="filed"))

        turn = asyncio.create_task(house.tick(NOON + MINUTE))
        was_waiting = [await asyncio.sleep(0.02, not turn.done()) for _ in range(40) if not house.sent()]
        await turn

    assert all(was_waiting)
    assert [await house.state(one) for one in (slow, quick)] == ["retry", "sent"]
