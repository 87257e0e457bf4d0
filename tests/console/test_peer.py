"""A sign-in is one operating-system user's: another user who got hold of its cookie gets the sign-in page."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from opspilot_mcp.console import peer
from tests.console.conftest import Browser
from tests.console.test_browser import address
from tests.gate.conftest import House

__all__ = ["address"]  # a fixture

NOBODY = 65_534
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who owns a socket")
root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs root, to be two users on one machine"
)
# What the thief runs, as a user of its own.
THIEF = """
import os, socket, sys
host, port, cookie, user = sys.argv[1:]
os.setuid(int(user))
wire = socket.socket()
wire.connect((host, int(port)))
head = f"GET /gate HTTP/1.1\\r\\nHost: {host}:{port}\\r\\nCookie: {cookie}\\r\\nConnection: close\\r\\n\\r\\n"
wire.sendall(head.encode("ascii"))
while got := wire.recv(65536):
    sys.stdout.buffer.write(got)
"""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield listening


def ask(address: str, cookie: str, user: int) -> tuple[int, str]:
    """Return the status and page a program of `user` gets with a cookie."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", THIEF, *address.removeprefix("http://").split(":"), cookie, str(user)],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[1]), done.stdout


@linux
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:127.0.0.1")])
def test_the_kernel_tells_who_connected(listener: socket.socket, family: int, host: str) -> None:
    with socket.socket(family) as client:
        client.connect((host, listener.getsockname()[1]))
        accepted, _ = listener.accept()

        with accepted:
            assert peer.user_of(accepted.getpeername(), accepted.getsockname()) == os.geteuid()


@linux
def test_a_connection_that_is_gone_is_nobodys(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()

    with accepted:
        assert peer.user_of(accepted.getpeername(), accepted.getsockname()) is None


@root
async def test_a_cookie_in_another_users_hands_shows_nothing_and_ends_the_sign_in(house: House, address: str) -> None:
    ana = Browser(None, address)
    await ana.sign_in()
    (name, value), *_ = ana.http.cookies.items()

    own = (await ana.get("/gate")).status_code
    status, page = ask(address, f"{name}={value}", NOBODY)
    after = (await ana.get("/gate")).status_code
    await ana.http.aclose()

    assert (own, status, after) == (200, 401, 401)
    assert "Stop all sending" not in page
    assert "Sign in to decide" in page


@root
async def test_the_same_user_may_use_another_program(house: House, address: str) -> None:
    ana = Browser(None, address)
    await ana.sign_in()
    (name, value), *_ = ana.http.cookies.items()

    status, page = ask(address, f"{name}={value}", os.geteuid())
    await ana.http.aclose()

    assert status == 200
    assert "Stop all sending" in page


def test_where_no_table_can_be_read_nobody_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peer, "_TABLES", (tmp_path / "none",))

    assert peer.user_of(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
