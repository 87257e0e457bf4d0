"""The README is true and whole: every tool, command and setting is documented, every link leads somewhere."""

import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from cyclopts import App
from pydantic import BaseModel

from opspilot_mcp import cli, settings
from opspilot_mcp.gate.policy import FileChannel, GatePolicy, SlackChannel, SmtpChannel, WebhookChannel
from opspilot_mcp.policy import CalendarPart, Policy, Promise
from opspilot_mcp.server import SPECS
from opspilot_mcp.tools.protocol import Spec

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def links_of(text: str) -> list[str]:
    return _LINK.findall(_FENCED.sub("", text))


def local(link: str) -> bool:
    return "://" not in link and not link.startswith(("#", "mailto:"))


def linked_texts() -> dict[str, str]:
    """Return the README and every Markdown file it links to, by path."""
    named = {link.split("#")[0] for link in links_of(README) if local(link)}
    files = sorted(ROOT / name for name in named if name.endswith(".md"))
    return {"README.md": README} | {str(f.relative_to(ROOT)): f.read_text("utf-8") for f in files if f.is_file()}


DOCUMENTED = "\n".join(linked_texts().values())
PAGES = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    *sorted(f"docs/{f.name}" for f in (ROOT / "docs").glob("*.md")),
]


# -- tools -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.fn.__name__)
def test_every_tool_stands_in_the_readme_with_its_class(spec: Spec) -> None:
    row = re.search(rf"^\| `{spec.fn.__name__}` \| (\w+) \|", README, re.MULTILINE)

    assert row is not None
    assert row[1] == spec.kind


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.fn.__name__)
def test_every_parameter_of_a_tool_is_documented(spec: Spec) -> None:
    page = (ROOT / "docs" / "tools.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{spec.fn.__name__}` \|.*$", page, re.MULTILINE)
    wanted = set(spec.fn.__annotations__) - {"ctx", "return"}

    assert row is not None
    assert [name for name in sorted(wanted) if f"`{name}`" not in row[0]] == []


def test_the_readme_names_no_tool_that_does_not_exist() -> None:
    named = set(re.findall(r"^\| `(\w+)` \| (?:READ|INTERNAL|OUTBOUND) \|", DOCUMENTED, re.MULTILINE))

    assert named == {spec.fn.__name__ for spec in SPECS}


# -- commands ----------------------------------------------------------------------------------------------------------


def commands(app: App, path: str = "") -> Iterator[tuple[str, App]]:
    """Yield each command people can type, with its words; groups are walked, not yielded."""
    for name in app:
        if name.startswith("-"):
            continue
        below, words = app[name], f"{path} {name}".strip()
        if below.default_command is not None:
            yield words, below
        yield from commands(below, words)


COMMANDS = dict(commands(cli.cli))


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_documented(words: str) -> None:
    assert re.search(rf"`(?:opspilot-mcp )?{re.escape(words)}\b", DOCUMENTED), f"{words} stands nowhere"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_option_of_a_command_is_documented(words: str) -> None:
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    rows = " ".join(line for line in page.splitlines() if re.search(rf"`{re.escape(words)}\b", line))
    if words.startswith("gate"):
        rows += " --home"  # said once for all of them
    options = [argument.names for argument in COMMANDS[words].assemble_argument_collection() if argument.index is None]

    assert [names for names in options if not any(name in rows for name in names)] == []


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", settings.KNOWN)
def test_every_environment_variable_stands_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README


def keys_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Yield the dotted keys of a policy; a table without fixed keys is one key."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys_of(kind, f"{path}{name}.")
        else:
            yield f"{path}{name}"


POLICY_KEYS = {
    "calendars": [f"calendars.NAME.{name}" for name in CalendarPart.model_fields],
    "sla": [f"sla.P1.{name}" for name in Promise.model_fields],
    "channels": ["channels.NAME"],
}


@pytest.mark.parametrize("key", [*chain.from_iterable(POLICY_KEYS.get(key, [key]) for key in keys_of(Policy))])
def test_every_key_of_policy_toml_is_documented(key: str) -> None:
    assert f"`{key}`" in DOCUMENTED


GATE_KEYS = [*keys_of(GatePolicy)]
CHANNEL_KEYS = {
    name for kind in (FileChannel, SmtpChannel, SlackChannel, WebhookChannel) for name in kind.model_fields
} - {"kind"}


@pytest.mark.parametrize("key", ["channels.NAME.kind" if key == "channels" else key for key in GATE_KEYS])
def test_every_key_of_gate_toml_is_documented(key: str) -> None:
    assert f"`{key}`" in DOCUMENTED


@pytest.mark.parametrize("key", sorted(CHANNEL_KEYS))
def test_every_key_of_a_channel_is_documented(key: str) -> None:
    assert f"`{key}`" in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")


# -- links, install, configuration -------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """Return the anchor a Markdown host gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_local_file_resolves(page: str) -> None:
    here = ROOT / page
    missing = []
    for link in filter(local, links_of(here.read_text(encoding="utf-8"))):
        if not (here.parent / link.split("#")[0]).exists():
            missing.append(link)

    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_to_a_heading_resolves(page: str) -> None:
    here = ROOT / page
    missing = []
    for link in (link for link in links_of(here.read_text(encoding="utf-8")) if "#" in link and "://" not in link):
        file, _, heading = link.partition("#")
        text = (here.parent / file if file else here).read_text(encoding="utf-8")
        if heading not in {anchor(found) for found in re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)}:
            missing.append(link)

    assert missing == []


def test_every_page_of_the_documentation_is_linked_from_the_readme() -> None:
    pages = {f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")}

    assert pages - set(linked_texts()) == set()


@pytest.mark.parametrize("line", ["pip install . && opspilot-mcp demo", "pip install -e '.[dev]' && pytest"])
def test_the_install_commands_stand_there_literally(line: str) -> None:
    assert line in README.splitlines()


def test_the_example_configuration_is_the_readme_s() -> None:
    blocks = re.findall(r"```json\n(.*?)```", README, re.DOTALL)
    example = json.loads((ROOT / "claude_desktop_config.example.json").read_text(encoding="utf-8"))

    assert [json.loads(block) for block in blocks if "mcpServers" in block] == [example]
    assert example["mcpServers"]["opspilot"]["command"] == "opspilot-mcp"
