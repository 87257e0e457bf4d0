"""The people's door: a web console on a loopback address, over the same decisions as the terminal.

It signs with keys that approvers open here; it holds no channel's secret and cannot send. Start it beside the
dispatcher with `opspilot-mcp gate run`.
"""

import asyncio
import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from opspilot_mcp import clock
from opspilot_mcp.console import door
from opspilot_mcp.console.door import Door, decides, reads, watches
from opspilot_mcp.console.guards import Guard
from opspilot_mcp.console.pages import (
    approvals,
    correcting,
    deciding,
    figures,
    incidents,
    reviewing,
    signing_in,
    standing,
    tickets,
)
from opspilot_mcp.errors import (
    BadSetting,
    Conflict,
    IllegalMove,
    InvalidInput,
    NotAllowed,
    NotFound,
    OpsPilotError,
    StoreBusy,
    StoreUnusable,
)
from opspilot_mcp.gate.running import as_process
from opspilot_mcp.gate.service import Gate, open_gate

HOST, PORT = "127.0.0.1", 8642
_BACKLOG = 128
_PURGE_S = 20
_HERE = Path(__file__).parent
_STATUS: dict[type[OpsPilotError], int] = {
    NotFound: 404,
    InvalidInput: 404,
    NotAllowed: 403,
    Conflict: 409,
    IllegalMove: 409,
    StoreBusy: 503,
    StoreUnusable: 503,
}


def build(gate: Gate, *, host: str = HOST, port: int = PORT, now: Callable[[], int] = clock.now_ms) -> Starlette:
    """Return the console over an open gate, answering only as `host:port`."""
    here = Door(gate, f"{host}:{port}", now)
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Guard, authority=here.authority)],
        exception_handlers={HTTPException: _refused, OpsPilotError: _failed},
        lifespan=_forgetting,
        max_body_size=door.MAX_FORM_BYTES,
    )
    app.state.door = here
    return app


_PAGES = {
    "/": approvals.show_inbox,
    "/messages/{id}": approvals.show_message,
    "/messages/{id}/bytes": approvals.show_bytes,
    "/messages/{id}/versions/{version:int}": approvals.show_version,
    "/gate": standing.show_gate,
    "/audit": standing.show_audit,
    "/tickets": tickets.show_queue,
    "/tickets/{id}": tickets.show_ticket,
    "/review": reviewing.show_review,
    "/incidents": incidents.show_incidents,
    "/incidents/{id}": incidents.show_incident,
    "/dashboard": figures.show_dashboard,
    "/ai": figures.show_ai,
    "/summary": figures.show_summary,
}
_ACTS = {
    "/look": approvals.look_again,
    "/gate/kill": standing.kill,
    "/gate/release": standing.release,
    "/gate/end-quarantine": standing.end_quarantine,
    "/sign-out": signing_in.sign_out,
    "/review/{id}": reviewing.answer,
    "/incidents/{id}/link": correcting.link_from_incident,
    **{f"/tickets/{{id}}/{name}": correcting.correcting(one) for name, one in correcting.BY_NAME.items()},
    **{f"/messages/{{id}}/{name}": deciding.deciding(one) for name, one in deciding.BY_NAME.items()},
}


def _routes() -> list[Route | Mount]:
    return [
        Route("/sign-in", signing_in.show, methods=["GET"]),
        Route("/sign-in", signing_in.sign_in, methods=["POST"]),
        *(Route(path, reads(page), methods=["GET"]) for path, page in _PAGES.items()),
        *(Route(path, decides(act), methods=["POST"]) for path, act in _ACTS.items()),
        Route("/pulse", watches(approvals.pulse), methods=["GET"]),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it is registered for
    words = {404: "There is no such page.", 405: "This page cannot be used that way."}
    title = "Not found" if error.status_code == 404 else "Not done"
    return _error(request, error.status_code, words.get(error.status_code, error.detail), title=title)


async def _failed(request: Request, error: Exception) -> Response:
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if isinstance(error, NotFound):  # its next step is a tool's name, which no person can call
        first, _, _ = str(error).partition(". ")
        return _error(request, status, f"{first.rstrip('.')}.", title="Not found")
    return _error(request, status, str(error))


def _error(request: Request, status: int, sentence: str, *, title: str = "Not done") -> Response:
    here: Door = request.app.state.door
    page = here.env.get_template("error.html").render(sentence=sentence, title=title)
    return HTMLResponse(page, status)


@contextlib.asynccontextmanager
async def _forgetting(app: Starlette) -> AsyncIterator[None]:
    """Forget keys whose sign-in ran out, also when nobody asks for a page any more; close what was opened."""

    async def forget() -> None:
        while True:
            await asyncio.sleep(_PURGE_S)
            with contextlib.suppress(OpsPilotError):
                app.state.door.sign_ins.purge(now=await app.state.door.instant())

    task = asyncio.create_task(forget())
    try:
        yield
    finally:
        task.cancel()
        await app.state.door.close()


# -- running -----------------------------------------------------------------------------------------------------------


def forget_channel_secrets() -> None:
    """Drop the channels' secrets from this process's environment: only the dispatcher needs them."""
    for name in [name for name in os.environ if name.startswith("OPSPILOT_GATE_")]:
        if name != "OPSPILOT_GATE_DATABASE_URL":
            del os.environ[name]


def listen(host: str, port: int) -> socket.socket:
    """Return a listening loopback socket; port 0 takes a free one. Raises BadSetting with the next step."""
    try:
        is_loopback = ipaddress.IPv4Address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise BadSetting("The console listens on a loopback IPv4 address only, such as 127.0.0.1. Name one.")
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        # At once: who reads the address may connect, and Linux lets two share a port of which neither listens.
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise BadSetting(f"The console cannot use {host}:{port} ({error.strerror}). Give another --port.") from None
    return sock


async def serve_console(
    home: Path, *, host: str = HOST, port: int = PORT, ready: Callable[[str], None] | None = None
) -> None:
    """Serve the console of a home until the process is told to stop. `ready` is told its address once it listens."""
    forget_channel_secrets()
    async with open_gate(home) as gate:
        sock = listen(host, port)
        bound = sock.getsockname()[1]
        config = uvicorn.Config(
            build(gate, host=host, port=bound),
            # Named, not found: h11 bounds a request's head, and nothing here speaks WebSocket.
            http="h11",
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=100,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=3,
            h11_max_incomplete_event_size=32_768,
        )
        if ready:
            ready(f"http://{host}:{bound}")
        await uvicorn.Server(config).serve(sockets=[sock])


def serve(home: Path, host: str = HOST, port: int = PORT) -> None:
    """Run `serve_console` in this process, saying where it listens."""
    asyncio.run(serve_console(home, host=host, port=port, ready=lambda url: _say(f"Console: {url}")))


def main(arguments: list[str]) -> int:
    """Serve the console of the home named first, on the port named second: how `gate run` starts it."""
    port = int(arguments[1]) if len(arguments) > 1 else PORT
    return as_process(lambda: serve(Path(arguments[0]), port=port))


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
