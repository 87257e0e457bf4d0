"""Cost of the gate: list 1,000 waiting messages, sign one, dispatch to a loopback sink.

    python benchmarks/gate.py [--messages 1000] [--dispatch 200]

Goals: list under 100 ms, sign under 150 ms once signed in, 50 messages a second to a loopback mail server.
"""

import argparse
import asyncio
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import Connection, insert

from opspilot_mcp.gate import service
from opspilot_mcp.gate.service import Gate
from opspilot_mcp.store.db import Db
from opspilot_mcp.store.schema import DESK, proposals, requesters, tickets

NOON = 1_795_262_400_000
PASSPHRASE = "correct horse battery staple"  # noqa: S105


def mail_sink() -> tuple[int, list[int]]:
    """Start the smallest mail server that takes everything; returns its port and a list of sizes."""
    server, sizes = socket.create_server(("127.0.0.1", 0)), []

    def talk(conn: socket.socket) -> None:
        with conn, conn.makefile("rb") as lines:
            conn.sendall(b"220 sink\r\n")
            for line in lines:
                if line[:4].upper() == b"DATA":
                    conn.sendall(b"354 go\r\n")
                    body = 0
                    while (part := lines.readline()) != b".\r\n":
                        body += len(part)
                    sizes.append(body)
                conn.sendall(b"250 fine\r\n")

    def serve() -> None:
        while True:
            conn, _ = server.accept()
            threading.Thread(target=talk, args=(conn,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1], sizes


def fill(conn: Connection, count: int) -> None:
    """Give the desk `count` tickets with a proposed reply each."""
    conn.execute(insert(requesters), [{"id": n, "address": f"c{n}@example.org", "name": "C", "created_ms": NOON}
                                      for n in range(1, count + 1)])  # fmt: skip
    base = {"version": 1, "source": "import", "subject": "Cannot log in", "requester_verified": True, "status": "open"}
    base |= {"escalate": False, "created_ms": NOON, "updated_ms": NOON, "breached": ""}
    conn.execute(insert(tickets), [
        {**base, "id": n, "external_id": str(n), "body": "My order A-1042 is stuck. " * 10, "requester_id": n}
        for n in range(1, count + 1)
    ])  # fmt: skip
    conn.execute(insert(proposals), [
        {"kind": "reply", "subject": f"T-{n}", "subject_version": 1, "requester_id": n, "channel": "replies",
         "title": "Re: Cannot log in", "body": "Please try again now. " * 20, "principal": "agent:x", "asked": "send",
         "created_ms": NOON, "updated_ms": NOON}
        for n in range(1, count + 1)
    ])  # fmt: skip


async def timed(name: str, work: Callable[[], Awaitable[object]], *, times: int) -> float:
    """Print and return the median cost of `work` in ms."""
    costs = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        costs.append((time.perf_counter() - began) * 1000)
    costs.sort()
    print(f"{name:<44} p50 {statistics.median(costs):8.1f} ms   max {costs[-1]:8.1f} ms   ({times} times)")
    return statistics.median(costs)


async def main(count: int, to_dispatch: int) -> None:
    port, sizes = mail_sink()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "home"
        await service.init(root, "ana", PASSPHRASE, now=NOON)
        (root / "gate" / "gate.toml").write_text(
            f'[network]\nallow_private = ["127.0.0.1:{port}"]\n[limits]\nper_hour = 100000\n'
            f'[approval]\nundo_seconds = 0\n[channels.replies]\nkind = "smtp"\nhost = "127.0.0.1"\nport = {port}\n'
            'tls = "none"\n'
        )
        desk = await Db(root / "desk.db", DESK).open()
        await desk.write(fill, count)
        gate = await Gate.open(root, now=NOON)

        began = time.perf_counter()
        await gate.sync(now=NOON)
        print(f"{'snapshot ' + str(count) + ' proposals':<44} {(time.perf_counter() - began) * 1000:8.1f} ms in all")
        await timed(f"list {count} waiting messages", lambda: gate.pending(limit=count), times=10)
        await timed("an idle turn of the dispatcher", lambda: gate.tick(now=NOON), times=10)
        await timed("show one message", lambda: gate.view("PR-1"), times=20)
        await timed("sign in (scrypt)", lambda: gate.sign_in("ana", PASSPHRASE, now=NOON), times=3)

        session = await gate.sign_in("ana", PASSPHRASE, now=NOON)
        ids = iter(range(1, count + 1))

        async def approve() -> None:
            message_id = f"PR-{next(ids)}"
            view = await gate.view(message_id)
            await gate.approve_as(
                session,
                message_id,
                shown_sha256=view.message.sha256,
                fresh=True,
                typed_recipient=view.message.recipient,
                now=NOON,
            )

        await timed("show and sign one message, signed in", approve, times=to_dispatch)
        began = time.perf_counter()
        while await gate.tick(now=NOON + 1):
            pass
        took = time.perf_counter() - began
        print(f"{'dispatch to a loopback mail server':<44} {len(sizes) / took:8.1f} a second ({len(sizes)} sent)")
        await gate.close()
        await desk.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--dispatch", type=int, default=200)
    options = parser.parse_args()
    asyncio.run(main(options.messages, options.dispatch))
