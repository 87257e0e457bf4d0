"""The other end as an attacker: it drips, redirects, answers nonsense, and changes its address between two looks."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp.gate import dispatch
from opspilot_mcp.gate.channels import SendFailed, deadline, outlet, smtp, web
from opspilot_mcp.gate.policy import FileChannel
from tests.gate.conftest import NOON
from tests.gate.sinks import (
    Script,
    broken_mail_server,
    free_port,
    mail_server,
    server_tls,
    smtp_until,
    web_server,
)
from tests.gate.test_channels import SECRET, envelope, hook, wire
from tests.gate.test_channels import smtp as mail

STOP_S = 1.5


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPSPILOT_GATE_HOOK", SECRET)
    monkeypatch.setattr(web, "LONGEST_S", STOP_S)
    monkeypatch.setattr(smtp, "LONGEST_S", STOP_S)


def drip(first: bytes, drop: bytes) -> Callable[[socket.socket, Script], None]:
    """Answer with `first`, then a few bytes again and again, each within the time limit of a read."""

    def behave(conn: socket.socket, script: Script) -> None:
        conn.sendall(first)
        for _ in range(60):
            conn.sendall(drop)
            time.sleep(0.2)

    return behave


def timed(send: Callable[[], object]) -> tuple[SendFailed, float]:
    began = time.monotonic()
    with pytest.raises(SendFailed) as failed:
        send()
    return failed.value, time.monotonic() - began


@pytest.mark.parametrize(
    ("first", "drop"), [(b"", b"2"), (b"220-hello\r\n", b"220-and\r\n"), (b"220 here\r\n", b"250-x\r\n")]
)
def test_f03_a_mail_server_that_drips_is_cut_off_and_nothing_was_sent(
    tmp_path: Path, first: bytes, drop: bytes
) -> None:
    with broken_mail_server(drip(first, drop)) as script:
        allowed = wire(tmp_path, f"127.0.0.1:{script.port}")
        failed, took_s = timed(lambda: outlet.send(envelope(), mail(script.port), allowed))

    assert (failed.maybe_sent, failed.permanent) == (False, False)
    assert took_s < STOP_S + 2


def test_f03_a_mail_server_that_drips_after_the_message_leaves_doubt(tmp_path: Path) -> None:
    until = smtp_until("body", then="250-half")

    def behave(conn: socket.socket, script: Script) -> None:
        until(conn, script)
        drip(b"", b"250-x\r\n")(conn, script)

    with broken_mail_server(behave) as script:
        allowed = wire(tmp_path, f"127.0.0.1:{script.port}")
        failed, took_s = timed(lambda: outlet.send(envelope(), mail(script.port), allowed))

    assert failed.maybe_sent
    assert took_s < STOP_S + 2


@pytest.mark.parametrize(
    ("first", "drop"),
    [(b"", b"H"), (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (b"HTTP/1.1 500 No\r\n", b"X: y\r\n")],
)
def test_f03_a_web_server_that_drips_is_cut_off_and_leaves_doubt(tmp_path: Path, first: bytes, drop: bytes) -> None:
    with broken_mail_server(drip(first, drop)) as script:
        allowed = wire(tmp_path, f"127.0.0.1:{script.port}")
        failed, took_s = timed(lambda: outlet.send(envelope(b"{}"), hook(script.port), allowed))

    assert failed.maybe_sent
    assert took_s < STOP_S + 2


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"])
def test_f03_a_web_server_that_drips_after_its_yes_has_said_yes(tmp_path: Path, first: bytes) -> None:
    began = time.monotonic()
    with broken_mail_server(drip(first, b"X: y\r\n")) as script:
        said = outlet.send(envelope(b"{}"), hook(script.port), wire(tmp_path, f"127.0.0.1:{script.port}"))

    assert said == "the webhook answered 200"
    assert time.monotonic() - began < STOP_S + 4


def test_f03_the_longest_send_ends_inside_the_lease() -> None:
    longest_s = 60 + deadline.LONGEST_S  # connecting, then the cut

    assert longest_s * 1000 < dispatch._LONGEST_SEND_MS < dispatch.LEASE_MS


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_i10_no_redirect_is_followed(tmp_path: Path, status: int) -> None:
    with web_server() as inside, web_server((status, {"Location": f"http://127.0.0.1:{inside.port}/"}, b"")) as sink:
        allowed = wire(tmp_path, f"127.0.0.1:{sink.port}", f"127.0.0.1:{inside.port}")
        failed, _ = timed(lambda: outlet.send(envelope(b"{}"), hook(sink.port), allowed))

    assert failed.permanent
    assert inside.arrived == []


def test_i10_a_name_is_looked_up_once_and_what_was_checked_is_what_is_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, real = [], socket.getaddrinfo

    def changing(host: Any, port: Any, *args: Any, **more: Any) -> Any:
        if host == "pager.example":
            asked.append(host)
            return real("127.0.0.1" if len(asked) == 1 else "127.0.0.9", port, *args, **more)
        return real(host, port, *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", changing)
    with web_server() as sink:
        channel = hook(sink.port, url=f"http://pager.example:{sink.port}/")
        outlet.send(envelope(b"{}"), channel, wire(tmp_path, f"pager.example:{sink.port}"))

    assert (asked, len(sink.arrived)) == (["pager.example"], 1)


def test_a_dead_address_does_not_hide_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as sink:
        both = [(2, 1, 6, "", ("127.0.0.9", sink.port)), (2, 1, 6, "", ("127.0.0.1", sink.port))]
        real = socket.getaddrinfo
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *a, **k: both if host == "pager.example" else real(host, *a, **k)
        )
        channel = hook(sink.port, url=f"http://pager.example:{sink.port}/")
        outlet.send(envelope(b"{}"), channel, wire(tmp_path, f"pager.example:{sink.port}"))

    assert len(sink.arrived) == 1


@pytest.mark.parametrize("value", ["Mon, 01 Jan 0001 00:00:00 +2359", "9" * 400, "-1", "nan", "\x00", "Thu, 99 Foo"])
def test_f03_a_retry_after_of_nonsense_still_means_later(tmp_path: Path, value: str) -> None:
    answer = web.Answer(429, {"retry-after": value}, b"")

    with pytest.raises(SendFailed) as failed:
        web.judge(answer, now_s=NOON / 1000)

    assert (failed.value.maybe_sent, failed.value.permanent) == (False, False)


@pytest.mark.parametrize("port", [0, 65_536, 99_999])
def test_an_address_without_such_a_port_is_refused_when_it_is_read(port: int) -> None:
    with pytest.raises(ValueError, match=r"[Pp]ort"):
        hook(1, url=f"https://example.org:{port}/")


@pytest.mark.parametrize("host", ["[fec0::1]", "[64:ff9b:1::7f00:1]", "[::127.0.0.1]", "[2002:7f00:1::]"])
def test_i10_more_spellings_of_private_addresses_are_refused(tmp_path: Path, host: str) -> None:
    failed, _ = timed(lambda: outlet.send(envelope(b"{}"), hook(80, url=f"https://{host}/"), wire(tmp_path)))

    assert failed.permanent
    assert "private" in str(failed)


def planted(target: Path, what: str) -> None:
    match what:
        case "pipe":
            os.mkfifo(target)
        case "link":
            target.symlink_to("/etc/passwd")
        case "link to itself":
            target.symlink_to(target)
        case "folder":
            target.mkdir()


@pytest.mark.parametrize("what", ["pipe", "link", "link to itself", "folder"])
def test_what_somebody_put_in_the_place_of_a_sent_file_is_not_touched(tmp_path: Path, what: str) -> None:
    there = wire(tmp_path)
    planted(there.sent / "PR-1.v1.eml", what)

    failed, took_s = timed(lambda: outlet.send(envelope(), FileChannel(kind="file"), there))

    assert failed.permanent
    assert took_s < 2
    assert Path("/etc/passwd").read_bytes() != envelope().content


def test_nobody_at_any_address_is_known_not_sent(tmp_path: Path) -> None:
    port = free_port()

    failed, _ = timed(lambda: outlet.send(envelope(b"{}"), hook(port), wire(tmp_path, f"127.0.0.1:{port}")))

    assert (failed.maybe_sent, failed.permanent) == (False, False)


@pytest.mark.parametrize("what", ["pipe", "link", "not text"])
def test_a_secret_file_of_another_kind_sends_nothing_and_can_be_put_right(tmp_path: Path, what: str) -> None:
    target = tmp_path / "hook.key"
    if what == "not text":
        target.write_bytes(b"\xff\xfe")
        target.chmod(0o600)
    else:
        planted(target, what)
    channel = hook(1).model_copy(update={"secret_env": None, "secret_file": "hook.key"})

    failed, took_s = timed(lambda: outlet.send(envelope(b"{}"), channel, wire(tmp_path)))

    assert (failed.maybe_sent, failed.permanent) == (False, False)
    assert took_s < 1


def test_f03_a_password_the_mail_library_cannot_say_is_known_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPSPILOT_GATE_MAIL", "pässword")
    context = server_tls(tmp_path, "127.0.0.1")
    with mail_server(tls=context, password="x") as box:
        channel = mail(box.port, tls="tls", username="desk", password_env="OPSPILOT_GATE_MAIL", ca_file="cert.pem")
        failed, _ = timed(lambda: outlet.send(envelope(), channel, wire(tmp_path)))

    assert not failed.maybe_sent
