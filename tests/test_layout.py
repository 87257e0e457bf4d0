"""Imports point down only, and the agents' process cannot reach a sender."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import opspilot_mcp

PACKAGE = Path(opspilot_mcp.__file__).parent

# Each room may import the rooms of lower floors, and what is listed beside its own.
FLOORS: dict[str, int] = {
    "__main__": 6,
    "cli": 6,
    "commands": 6,
    "serving": 6,
    "server": 5,
    "stdio": 5,
    "tools": 5,
    "console": 5,
    "app": 4,
    "insights": 3,
    "desk": 3,
    "aiops": 3,
    "proposals": 1,
    "engines": 1,
    "gate": 2,
    "masking": 0,
    "keyshapes": -1,
    "calendars": -1,
    "packaged": 0,
    "keyboard": 0,
    "store": 0,
    "clock": 0,
    "settings": 0,
    "policy": 0,
    "errors": -1,
    "text": -1,
}
# insights reads across both wings: questions that need both live there.
SIDEWAYS = {("insights", "desk"), ("insights", "aiops"), ("server", "tools"), ("cli", "commands"), ("cli", "serving")}
SIDEWAYS |= {("__main__", "cli"), ("__main__", "serving")}
# What must never be loaded where an agent can reach it: the gate, and everything that could carry a message.
FORBIDDEN = ("opspilot_mcp.gate", "opspilot_mcp.console", "smtplib", "slack_sdk", "standardwebhooks")


def room_of(module: str) -> str | None:
    parts = module.split(".")
    if parts[0] != "opspilot_mcp":
        return None
    return parts[1] if len(parts) > 1 else "errors"


def imports_of(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def wrong(importer: str, imported: str) -> bool:
    if importer == imported or (importer, imported) in SIDEWAYS:
        return False
    return FLOORS[imported] >= FLOORS[importer]


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if "_data" not in path.parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    below = {found for name in imports_of(path) if (found := room_of(name)) is not None and found in FLOORS}

    assert [imported for imported in sorted(below) if wrong(room, imported)] == []


def test_every_room_has_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in SOURCES}

    assert rooms - {"__init__"} <= set(FLOORS)


def test_only_people_s_doors_import_the_gate() -> None:
    importers = {
        path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for path in SOURCES
        if any(room_of(name) == "gate" for name in imports_of(path))
    }

    assert importers <= {"gate", "console", "commands"}


def lines_of(node: ast.AST) -> int:
    return (getattr(node, "end_lineno", None) or 0) - getattr(node, "lineno", 0) + 1


def test_no_file_has_more_than_450_lines_and_no_function_more_than_60() -> None:
    functions = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in SOURCES
        if "versions" not in path.parts  # a migration is one list of tables
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of(node) > 60
    ]

    assert functions == []
    assert [str(path) for path in SOURCES if len(path.read_text().splitlines()) > 450] == []


def loaded_after(code: str) -> list[str]:
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return names


def test_the_agents_process_loads_no_sender() -> None:
    loaded = loaded_after(
        "import opspilot_mcp.serving\n"
        "from functools import partial\n"
        "from opspilot_mcp.server import build_server\n"
        "build_server(lambda: None)"
    )

    assert [name for name in loaded if name.startswith(FORBIDDEN)] == []


def test_the_agents_process_starts_without_what_it_need_not_load() -> None:
    loaded = loaded_after("import opspilot_mcp.serving")

    assert [name for name in loaded if name in ("alembic", "anthropic", "psycopg", "cyclopts", "jinja2")] == []


def test_nothing_the_server_reaches_can_import_the_gate_later() -> None:
    reached, todo = set[str](), ["opspilot_mcp.serving"]
    while todo:
        module = todo.pop()
        if module in reached or not module.startswith("opspilot_mcp"):
            continue
        reached.add(module)
        relative = PACKAGE.joinpath(*module.split(".")[1:])
        for path in (relative.with_suffix(".py"), relative / "__init__.py"):
            if path.is_file():
                todo += sorted(imports_of(path))
        todo += [module.rsplit(".", 1)[0]]

    assert [name for name in sorted(reached) if name.startswith(FORBIDDEN)] == []
