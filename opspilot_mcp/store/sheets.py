"""An operator's own Markdown files, each with YAML front matter: how a folder of runbooks or macros is read."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from opspilot_mcp.errors import BadSetting, InvalidInput

MAX_FILES = 500

_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---\r?\n?(.*)\Z", re.DOTALL)


def files(folder: Path, noun: str) -> list[Path]:
    """Return the Markdown files of a folder by name, no links; none where there is no folder. Raises BadSetting."""
    found = sorted(file for file in folder.glob("*.md") if file.is_file() and not file.is_symlink())
    if len(found) > MAX_FILES:
        raise BadSetting(f"{folder.name} holds {len(found)} {noun}s, more than {MAX_FILES}. Remove what is not used.")
    return found


def text_of(file: Path, noun: str, *, max_bytes: int) -> str:
    """Return a file's text. Raises BadSetting that names it."""
    try:
        if file.stat().st_size > max_bytes:
            raise BadSetting(f"{file.name} has over {max_bytes:,} bytes. Shorten the {noun}.")
        return file.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError):
        raise BadSetting(f"{file.name} cannot be read as UTF-8 text. Save it as UTF-8.") from None


def parts(text: str) -> tuple[dict[str, Any], str]:
    """Return a text's front matter and its body, stripped. Raises InvalidInput without a readable front matter."""
    import yaml  # only who reads such a file pays for it

    match = _FRONT.match(text.removeprefix("\ufeff"))
    if match is None:
        raise InvalidInput("The text has no front matter. Begin it with ---, its keys, and ---.")
    try:
        front = yaml.safe_load(match.group(1))
    except yaml.YAMLError:
        raise InvalidInput("The front matter is not YAML. Correct it.") from None
    if not isinstance(front, dict):
        raise InvalidInput("The front matter holds no keys. Begin it with title.")
    return front, match.group(2).strip()


def one_or_many(value: Any) -> Any:
    """Return a list where one word stands for it, and an empty one for nothing: for keys that hold many."""
    return [value] if isinstance(value, str) else value or ()


def check_distinct(slugs: Iterable[str], noun: str) -> None:
    """Raise BadSetting for the first slug in order that two have."""
    twice = sorted(slug for slug, times in Counter(slugs).items() if times > 1)
    if twice:
        raise BadSetting(f"Two {noun}s are called {twice[0]}. Give each a slug of its own.")
