"""Breaks the package on purpose, one place at a time, and shows that each break turns a test red.

Each break is one change of text in a copy of the project; its test runs against the copy in a process of its own. A
break whose text is not found, or that no test notices, is an error.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).parents[1]


@dataclass(frozen=True)
class Break:
    """One deliberate fault: in `file` of the package, `old` becomes `new`; `test` must go red.

    `more` is put at the end of the file, for a fault that needs a function.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    more: str = ""


Arguments = Callable[[Iterable[Break]], Sequence[str]]  # what to tell pytest to run the tests of breaks


def lost(breaks: Iterable[Break]) -> list[str]:
    """Return the names of the breaks whose text does not stand once in its file."""
    package = REPO / "opspilot_mcp"
    return [one.name for one in breaks if (package / one.file).read_text().count(one.old) != 1]


def run(breaks: Iterable[Break], arguments: Arguments) -> Iterator[tuple[Break, bool, str]]:
    """Try each break; yields it with whether its test went red, and what the test said."""
    wanted = list(breaks)
    with tempfile.TemporaryDirectory(prefix="opspilot-break-") as scratch:
        copy = _copy_to(Path(scratch))
        was_red, said = _is_red(copy, arguments(wanted))
        assert not was_red, f"a test is red without any break: {said}"
        for one in wanted:
            yield (one, *_try(copy, one, arguments([one])))


def main(breaks: Iterable[Break], arguments: Arguments, words: Sequence[str]) -> int:
    """Try the breaks whose name holds one of `words`, all without any; 1 when a break went unnoticed."""
    unnoticed = 0
    wanted = [one for one in breaks if not words or any(word in one.name for word in words)]
    for one, was_red, said in run(wanted, arguments):
        unnoticed += not was_red
        sys.stdout.write(f"{'red' if was_red else 'GREEN':<6} {one.name:<40} {one.test}: {said[:90]}\n")
        sys.stdout.flush()
    return int(unnoticed > 0)


def _copy_to(folder: Path) -> Path:
    for name in ("opspilot_mcp", "tests", "data", "benchmarks"):
        shutil.copytree(REPO / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "pyproject.toml", folder)
    return folder


def _try(copy: Path, one: Break, arguments: Sequence[str]) -> tuple[bool, str]:
    """Break the copy, run the test, mend the copy."""
    path = copy / "opspilot_mcp" / one.file
    whole = path.read_text()
    if whole.count(one.old) != 1:
        return False, f"the text to change stands {whole.count(one.old)} times in {one.file}"
    path.write_text(whole.replace(one.old, one.new) + one.more)
    try:
        return _is_red(copy, arguments)
    finally:
        path.write_text(whole)


def _is_red(copy: Path, arguments: Sequence[str]) -> tuple[bool, str]:
    """Run tests against the copy; returns whether one failed, and what it said."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", "addopts=-m 'not long'"]
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "400"}
    done = subprocess.run([*command, *arguments], cwd=copy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout[-3000:] + done.stderr[-2000:]
    why = [line.partition(" - ")[2] for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return done.returncode == 1, (why or [""])[0]
