"""A person at a terminal: types answers into a real command on a pseudo-terminal."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def type_into(
    arguments: Sequence[str], answers: Sequence[tuple[str, str]], *, home: Path, limit_s: float = 60, columns: int = 100
) -> str:
    """Run `opspilot-mcp ARGUMENTS`, type each answer when its question is on the screen; returns the screen.

    Raises AssertionError when a question never comes or the command fails.
    """
    ours, theirs = pty.openpty()
    env = {**os.environ, "OPSPILOT_HOME": str(home), "COLUMNS": str(columns)}
    command = [sys.executable, "-m", "opspilot_mcp", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    os.close(theirs)
    screen, left, deadline = "", list(answers), time.monotonic() + limit_s
    try:
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    screen += os.read(ours, 65_536).decode("utf-8", "replace")
                except OSError:  # the other end closed: the command is done
                    break
            if left and left[0][0] in screen.split("\0")[-1]:
                os.write(ours, (left.pop(0)[1] + "\n").encode())
                screen += "\0"  # later questions must come after this answer
        code = process.wait(10)
    finally:
        process.kill()
        os.close(ours)
    shown = screen.replace("\0", "").replace("\r\n", "\n")
    assert not left, f"never asked {left[0][0]!r}:\n{shown}"
    assert code == 0, shown
    return shown


def interrupted_at(question: str, arguments: Sequence[str], *, home: Path, limit_s: float = 30) -> tuple[int, str]:
    """Run `opspilot-mcp ARGUMENTS`, send one Ctrl-C when `question` stands there; returns exit code and screen.

    Raises TimeoutExpired when the command goes on.
    """
    ours, theirs = pty.openpty()
    env = {**os.environ, "OPSPILOT_HOME": str(home), "COLUMNS": "100"}
    command = [sys.executable, "-m", "opspilot_mcp", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True)
    screen, deadline = "", time.monotonic() + limit_s
    try:
        while question not in screen and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                screen += os.read(ours, 65_536).decode("utf-8", "replace")
        process.send_signal(signal.SIGINT)
        code = process.wait(10)
        screen += os.read(ours, 65_536).decode("utf-8", "replace")
    finally:
        process.kill()
        os.close(ours)
        os.close(theirs)
    return code, screen
