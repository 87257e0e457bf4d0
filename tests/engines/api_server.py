"""A loopback server that speaks the Messages API: real HTTP, scripted answers, every request kept."""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from typing import Any

# Measured on no tokenizer of the vendor's: a stated stand-in, on the dear side for English (4 bytes a token is usual).
BYTES_PER_TOKEN = 3

READING = {
    "category": "billing",
    "priority": "P3",
    "sentiment": "neutral",
    "escalate": False,
    "confidence": 0.9,
    "tags": ["refund"],
}


@dataclass
class Step:
    """One scripted answer. `close` drops the connection without a byte, `delay_s` waits before the first."""

    status: int = 200
    body: bytes | dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    close: bool = False


def tokens(value: object) -> int:
    """Return the tokens the server counts for a JSON value."""
    return ceil(len(json.dumps(value, ensure_ascii=False).encode()) / BYTES_PER_TOKEN)


def message(text: str, *, stop: str = "end_turn", request: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return an assistant message as the API shapes it, its tokens counted over the request."""
    asked = {name: (request or {}).get(name, "") for name in ("system", "messages", "output_config")}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": (request or {}).get("model", "claude-haiku-5-5"),
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": tokens(asked), "output_tokens": tokens(text)},
    }


def error(kind: str) -> dict[str, Any]:
    """Return an error body as the API shapes it."""
    return {"type": "error", "error": {"type": kind, "message": "said by the API"}, "request_id": "req_1"}


class ApiServer:
    """What the tests see of the server: its address, the requests it had, and the script of what comes next."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.script: deque[Step] = deque()
        self.answer: Callable[[dict[str, Any]], str] = answer_reading
        self.batches: dict[str, list[dict[str, Any]]] = {}
        self.polls_until_ended = 0
        self.results: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = self._all_succeed
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def then(self, *steps: Step) -> None:
        """Answer the next requests so; after them with `answer`."""
        self.script.extend(steps)

    @contextmanager
    def running(self) -> Iterator["ApiServer"]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()

    def respond(self, method: str, path: str, request: dict[str, Any]) -> Step:
        """Return the answer to one request."""
        if path.startswith("/v1/messages/batches"):
            return self._batch(method, path, request)
        self.requests.append(request)
        if self.script:
            return self.script.popleft()
        return Step(body=message(self.answer(request), request=request))

    def _batch(self, method: str, path: str, request: dict[str, Any]) -> Step:
        if method == "POST":
            if self.script:
                return self.script.popleft()
            number = f"msgbatch_{len(self.batches) + 1}"
            self.batches[number] = request["requests"]
            return Step(body=self._shown(number, "in_progress"))
        number = path.split("/")[4]
        if path.endswith("/results"):
            lines = [json.dumps(line) for line in self.results(self.batches[number])]
            return Step(body="\n".join(lines).encode(), headers={"content-type": "application/x-jsonl"})
        self.polls_until_ended -= 1
        return Step(body=self._shown(number, "in_progress" if self.polls_until_ended >= 0 else "ended"))

    def _shown(self, number: str, status: str) -> dict[str, Any]:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        ended = status == "ended"
        return {
            "id": number,
            "type": "message_batch",
            "processing_status": status,
            "request_counts": counts,
            "created_at": "2026-03-02T12:00:00Z",
            "expires_at": "2026-03-03T12:00:00Z",
            "ended_at": "2026-03-02T13:00:00Z" if ended else None,
            "results_url": f"{self.url}/v1/messages/batches/{number}/results" if ended else None,
        }

    def _all_succeed(self, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [succeeded(one["custom_id"], self.answer(one["params"]), one["params"]) for one in requests]


def succeeded(custom_id: str, text: str, params: dict[str, Any] | None = None, **kept: Any) -> dict[str, Any]:
    """Return one line of a batch's results."""
    result = {"type": "succeeded", "message": message(text, request=params, **kept)}
    return {"custom_id": custom_id, "result": result}


def answer_reading(request: dict[str, Any]) -> str:
    """Answer a structured request with READING (its tags only where the schema has them), another with a reply."""
    schema = request.get("output_config", {}).get("format", {}).get("schema")
    if schema is None:
        return "Hello,\n\nthank you, we are looking into it.\n\nKind regards"
    return json.dumps({name: READING[name] for name in schema["properties"]})


def _handler_of(server: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes: the second would wait for the first's receipt

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            self._answer("POST", json.loads(raw))

        def do_GET(self) -> None:
            self._answer("GET", {})

        def _answer(self, method: str, request: dict[str, Any]) -> None:
            server.headers.append({name.lower(): value for name, value in self.headers.items()})
            step = server.respond(method, self.path, request)
            time.sleep(step.delay_s)
            if step.close:
                self.close_connection = True
                return
            body = step.body if isinstance(step.body, bytes) else json.dumps(step.body).encode()
            try:
                self.send_response(step.status)
                for name, value in ({"content-type": "application/json"} | step.headers).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler
