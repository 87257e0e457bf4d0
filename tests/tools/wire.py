"""The real server as a child process, spoken to in raw JSON-RPC: no MCP library stands on this side of the pipe."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

Era = Literal["modern", "legacy"]
Message = dict[str, Any]

_ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "0"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
PATIENCE_S = 100.0  # a busy machine starts eight servers in half a minute


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment whose only settings are the home and what is given."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPSPILOT_", "ANTHROPIC_"))}
    return {**kept, "OPSPILOT_HOME": str(home), **more}


class Wire:
    """One server process and its pipe. Ids count up; answers are kept until somebody asks for them."""

    def __init__(self, home: Path, *args: str, era: Era = "modern", **env: str) -> None:
        self.era = era
        self.stderr_file = home.with_name(f"{home.name}-{id(self)}.stderr")
        with self.stderr_file.open("wb") as told:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "opspilot_mcp", *args],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                env=environment(home, **env),
            )
        self._inbox: queue.Queue[Message | None] = queue.Queue()
        self._kept: dict[Any, Message] = {}
        self.notes: list[Message] = []
        self._last = 0
        threading.Thread(target=self._read, daemon=True).start()
        if era == "legacy":
            self.shake_hands()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def shake_hands(self) -> Message:
        self.era = "legacy"
        answer = self.ask("initialize", HANDSHAKE)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    def send(self, message: Message | bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def post(self, method: str, params: Message | None = None, **meta: Any) -> int:
        """Send a request without waiting; returns its id."""
        self._last += 1
        self.send(request(self._last, method, params, era=self.era, **meta))
        return self._last

    def answer(self, number: Any, *, within_s: float = PATIENCE_S) -> Message:
        """Return the answer to a request; notifications that come before it are kept in `notes`."""
        while number not in self._kept:
            got = self._inbox.get(timeout=within_s)
            assert got is not None, f"the server closed its end: {self.stderr()[-2000:]}"
            if "id" in got and "method" not in got:
                self._kept[got["id"]] = got
            else:
                self.notes.append(got)
        return self._kept.pop(number)

    def ask(self, method: str, params: Message | None = None, **meta: Any) -> Message:
        return self.answer(self.post(method, params, **meta))

    def post_call(self, tool: str, **arguments: Any) -> int:
        return self.post("tools/call", {"name": tool, "arguments": arguments})

    def call(self, tool: str, **arguments: Any) -> Message:
        """Return a tool's whole result; `isError` tells a refusal."""
        got = self.answer(self.post_call(tool, **arguments))
        assert "result" in got, got
        result: Message = got["result"]
        return result

    def do(self, tool: str, **arguments: Any) -> Message:
        """Return the structured answer of a call that must succeed."""
        result = self.call(tool, **arguments)
        assert not result.get("isError"), result["content"][0]["text"]
        answer: Message = result["structuredContent"]
        return answer

    def end(self) -> int:
        """Close our end and return the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)

    def stderr(self) -> str:
        return self.stderr_file.read_text("utf-8", "replace")

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._inbox.put(json.loads(line))
        self._inbox.put(None)


def request(number: Any, method: str, params: Message | None = None, *, era: Era, **meta: Any) -> Message:
    """Return one JSON-RPC request as a client of that era writes it; `meta` goes into `_meta`."""
    envelope = {**_ENVELOPE, **meta} if era == "modern" else meta
    body = {**(params or {}), **({"_meta": envelope} if envelope else {})}
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": body}


def told(result: Message) -> str:
    """Return the text block of a tool's result."""
    text: str = result["content"][0]["text"]
    return text
