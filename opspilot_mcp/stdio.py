"""The agents' pipe: MCP over stdin and stdout, in either protocol era, until the client or a signal ends it.

The library's own `run_stdio_async` leaves four things open: a client that probes with `server/discover` and then
shakes hands is refused (-32022), a line may be of any size, a line that cannot be read is never answered, so that its
client waits for good, and SIGTERM ends the process without closing the app.
"""

import asyncio
import json
import os
import re
import signal
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import Any, cast

import anyio
from fastmcp import FastMCP
from fastmcp.server.context import reset_transport, set_transport
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError, JSONRPCRequest, jsonrpc_message_adapter
from pydantic import ValidationError

LINE_CAP = 4 * 1024 * 1024
_TOO_LONG = "opspilot/line-too-long"
_UNREADABLE = "opspilot/line-unreadable"
_SURROGATE = re.compile("[\ud800-\udfff]")
# A request's own id stands before its params or after them, never inside: an argument may be named `id` too.
_VALUE = rb'"id"\s*:\s*(\d{1,15}|"[\w.:-]{1,64}")\s*'
_VERSION = rb'"jsonrpc"\s*:\s*"2\.0"\s*'
_ID_FIRST = re.compile(rb'\s*\{\s*(?:"(?:jsonrpc|method)"\s*:\s*"[^"\\]{0,99}"\s*,\s*)*' + _VALUE + rb"[,}]")
_ID_LAST = re.compile(rb"," + rb"\s*" + _VALUE + rb"(?:,\s*" + _VERSION + rb")?\}\s*\Z")
_ENDS = 512  # bytes at either end of a line in which its id is looked for

_Stream = Any  # the library names its streams only in private modules


class Lines:
    """The lines of a file descriptor; one over `cap` bytes, or no message, becomes a request that only says so.

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
        held, size, tail = bytearray(), 0, b""
        with suppress(RuntimeError, CancelledError):  # the loop is closed, or ends: nobody reads on
            while chunk := os.read(self._fd, 65536):
                *ends, rest = chunk.split(b"\n")
                for end in ends:
                    self._put(self._line(held + end, size + len(end), tail + end))
                    held, size, tail = bytearray(), 0, b""
                size += len(rest)
                held += rest[: max(0, self._cap - len(held))]
                tail = (tail + rest)[-_ENDS:]
            if held:  # a last line without its end is a line too
                self._put(self._line(held, size, tail))
            self._put(None)

    def _line(self, held: bytearray, size: int, tail: bytes) -> str:
        return readable(bytes(held)) if size <= self._cap else _stand_in(_TOO_LONG, bytes(held[:_ENDS]), tail)

    def _put(self, line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(self._queue.put(line), self._loop).result()


def readable(raw: bytes) -> str:
    """Return a line as the library will read it; one it cannot read becomes a request that says so.

    A lone surrogate, which is what a client sends that cuts a text inside an emoji, is mended to U+FFFD.
    """
    line = raw.decode("utf-8", "replace")
    if not line.strip() or _is_message(line):
        return line
    try:
        mended = _SURROGATE.sub("\ufffd", json.dumps(json.loads(line), ensure_ascii=False))
    except (ValueError, RecursionError):
        mended = ""
    if mended and _is_message(mended):
        return mended
    return _stand_in(_UNREADABLE, raw[:_ENDS], raw[-_ENDS:])


def _is_message(line: str) -> bool:
    try:
        jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValidationError:
        return False
    return True


def _stand_in(method: str, head: bytes, tail: bytes) -> str:
    """A request with the id of a line we do not take; an empty line, which is dropped, when none is in sight."""
    found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
    return f'{{"jsonrpc":"2.0","id":{found[1].decode()},"method":"{method}"}}' if found else ""


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
                if asked.method in (_TOO_LONG, _UNREADABLE):
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
    says = f"A message may have {cap} bytes. Send it in smaller parts."
    if asked.method == _UNREADABLE:
        says = "The message is not a JSON-RPC request that can be read. Check its JSON and its fields."
    error = ErrorData(code=INVALID_REQUEST, message=says)
    return SessionMessage(JSONRPCError(jsonrpc="2.0", id=asked.id, error=error))
