"""Starts the agents' door on stdin and stdout."""

import asyncio
import gc
import logging
import os
import sys
from functools import partial
from pathlib import Path

from opspilot_mcp import settings, stdio
from opspilot_mcp.app import agent_principal, open_app
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.server import Profile, build_server

_FOR_A_PERSON = (
    "opspilot-mcp serves MCP on stdin and stdout: a client such as Claude Desktop starts it. Ctrl-C ends it; "
    "`opspilot-mcp --help` lists what a person can run, `opspilot-mcp demo` shows it.\n"
)


def serve(*, home: Path | None = None, profile: Profile = "all", read_only: bool = False) -> int:
    """Serve until the client closes its end; returns the exit code. Logs go to stderr."""
    os.umask(0o077)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    # The library prints rich tracebacks that quote what a caller sent; our own log says what an operator needs.
    logging.getLogger("fastmcp").setLevel(logging.CRITICAL)
    code = 0
    try:
        configured = settings.load(home=home)
        opener = partial(open_app, configured, principal=agent_principal())
        server = build_server(opener, profile=profile, read_only=read_only)
        # What is loaded now lives as long as the process: the collector need not look at it again.
        gc.freeze()
        gc.enable()
        if sys.stdin.isatty():
            sys.stderr.write(_FOR_A_PERSON)
        asyncio.run(stdio.run(server))
    except* OpsPilotError as told:  # a task group of the library wraps what the lifespan raises
        sys.stderr.write(f"opspilot-mcp: {_first(told)}\n")
        code = 2
    return code


def _first(group: BaseExceptionGroup[OpsPilotError]) -> BaseException:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
