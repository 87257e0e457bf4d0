"""Files that hold a topology, as `import` and `replay` read them."""

import json
from pathlib import Path

from opspilot_mcp.errors import InvalidInput

MAX_BYTES = 50_000_000


def read(path: Path) -> object:
    """Return what a topology file holds, YAML where its name says so. Raises InvalidInput with what is wrong."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"The topology {path.name} cannot be read: {error.strerror}. Check the path.") from None
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"The topology {path.name} has over {MAX_BYTES:,} bytes. Leave out what no alert names.")
    is_yaml = path.suffix.lower() in (".yaml", ".yml")
    try:
        text = raw.decode("utf-8-sig")
        return _yaml(text) if is_yaml else json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        what = "YAML without aliases" if is_yaml else f"JSON{line}"
        raise InvalidInput(f"The topology {path.name} is not {what}. Name it .json or .yaml and check it.") from None


def _yaml(text: str) -> object:
    """Return YAML without aliases: nested aliases unfold a kilobyte into gigabytes. Raises ValueError."""
    import yaml  # only who writes YAML pays for it

    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise ValueError("aliases are refused")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError("not YAML") from error
