"""The agents' pipe: MCP over stdin and stdout, in either protocol era, until the client or a signal ends it.

The library's own `run_stdio_async` leaves three things open: a client that probes with `server/discover` and then
shakes hands is refused (-32022), a line may be of any size, and SIGTERM ends the process without closing the app.
"""

import asyncio
import os
import re
import signal
import threading
from contextlib import suppress
from typing import Any, cast

import anyio
from fastmcp import FastMCP
from fastmcp.server.context import reset_transport, set_transport
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError, JSONRPCRequest

LINE_CAP = 4 * 1024 * 1024
_TOO_LONG = "opspilot/line-too-long"
_ID = re.compile(rb'"id"\s*:\s*(\d{1,15}|"[\w.:-]{1,64}")')

_Stream = Any  # the library names its streams only in private modules


class Lines:
    """The lines of a file descriptor; one over `cap` bytes becomes a request that only says so.

    A daemon thread reads: a thread of anyio's pool cannot be abandoned, and the process would outlive SIGTERM until
    its client closed the pipe. It reads with os.read, so it holds no buffer's lock when the interpreter ends.
    """

    def __init__(self, fd: int, *, cap: int = LINE_CAP) -> None:
        self._fd, self._cap, self._closed = fd, cap, False
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(64)
        threading.Thread(target=self._pump, name="stdin", daemon=True).start()

    def close(self) -> None:
        """End the lines as if the client had closed its end; for a signal handler on the loop's thread."""
        self._closed = True
        with suppress(asyncio.QueueFull):
            self._queue.put_nowait(None)

    def __aiter__(self) -> "Lines":
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        if line is None or self._closed:
            raise StopAsyncIteration
        return line

    def _pump(self) -> None:
        held, size = bytearray(), 0
        with suppress(RuntimeError):  # the loop is closed: nobody reads on
            while chunk := os.read(self._fd, 65536):
                *ends, rest = chunk.split(b"\n")
                for end in ends:
                    held += end
                    self._put(held.decode("utf-8", "replace") if size + len(end) <= self._cap else _stand_in(held))
                    held, size = bytearray(), 0
                size += len(rest)
                held += rest[: max(0, self._cap - len(held))]
            self._put(None)

    def _put(self, line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(self._queue.put(line), self._loop).result()


def _stand_in(head: bytearray) -> str:
    """A request with the id of the line that was too long; an empty line, which is dropped, when none is in sight."""
    found = _ID.search(bytes(head[:4096]))
    return f'{{"jsonrpc":"2.0","id":{found[1].decode()},"method":"{_TOO_LONG}"}}' if found else ""


async def run(mcp: FastMCP[Any], *, cap: int = LINE_CAP) -> None:
    """Serve until the client closes its end, SIGTERM or SIGINT; the app is closed on every one of them."""
    server = mcp._mcp_server  # no public way to a runner of one's own: tests/test_stdio.py holds the name
    lines = Lines(_take_stdin(), cap=cap)
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows has no loop signal handlers
            asyncio.get_running_loop().add_signal_handler(number, lines.close)
    token = set_transport("stdio")
    try:
        stdin = cast("anyio.AsyncFile[str]", lines)  # the library only iterates it
        async with server.lifespan(server) as state, stdio_server(stdin=stdin) as (read, write):
            await serve_tolerantly(server, read, write, state, cap=cap)
    except* BrokenPipeError:
        pass  # the client closed its reading end: nobody is left to tell
    finally:
        reset_transport(token)


def _take_stdin() -> int:
    """Move the client's pipe off descriptor 0, so that no child process can read from it."""
    wire = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return wire


async def serve_tolerantly(
    server: Server[Any], read: _Stream, write: _Stream, state: Any, *, cap: int = LINE_CAP
) -> None:
    """Serve in the era of the client's first request, and afresh when `initialize` comes after another opening."""
    opening: str | None = None
    async with write, anyio.create_task_group() as tasks:
        inbox, done = await _open_loop(tasks, server, write, state)
        async for item in read:
            asked = item.message if isinstance(item, SessionMessage) else None
            if isinstance(asked, JSONRPCRequest):
                if asked.method == _TOO_LONG:
                    await write.send(_refusal(asked, cap))
                    continue
                if asked.method == "initialize" and opening not in (None, "initialize"):
                    await inbox.aclose()
                    await done.wait()
                    inbox, done = await _open_loop(tasks, server, write, state)
                    opening = None
                opening = opening or asked.method
            with suppress(anyio.BrokenResourceError):
                await inbox.send(item)
        await inbox.aclose()


async def _open_loop(tasks: Any, server: Server[Any], write: _Stream, state: Any) -> tuple[Any, anyio.Event]:
    """Start one serving loop; returns where its messages go in, and what is set when it has ended."""
    inbox, outbox = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    done = anyio.Event()

    async def serve() -> None:
        options = server.create_initialization_options()
        try:
            await serve_dual_era_loop(server, outbox, write.clone(), lifespan_state=state, init_options=options)
        finally:
            done.set()

    tasks.start_soon(serve)
    return inbox, done


def _refusal(asked: JSONRPCRequest, cap: int) -> SessionMessage:
    error = ErrorData(code=INVALID_REQUEST, message=f"A message may have {cap} bytes. Send it in smaller parts.")
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=asked.id, error=error))
