"""Settings from the environment: where the home is, which model to ask. Each is in the README and in `doctor`."""

import os
from collections.abc import Mapping
from pathlib import Path

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from opspilot_mcp.errors import BadSetting, quoted

KNOWN = ("OPSPILOT_HOME", "OPSPILOT_MODEL", "ANTHROPIC_API_KEY")
DEFAULT_MODEL = "claude-haiku-5-5"
_MODEL_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.:@/")


class Settings(BaseModel):
    """What the environment says. Paths are absolute."""

    model_config = ConfigDict(frozen=True)

    home: Path
    model: str = DEFAULT_MODEL
    anthropic_api_key: SecretStr | None = Field(default=None, repr=False)

    @property
    def desk_db(self) -> Path:
        return self.home / "desk.db"

    @property
    def policy_file(self) -> Path:
        return self.home / "policy.toml"

    @property
    def runbooks(self) -> Path:
        return self.home / "runbooks"

    @property
    def macros(self) -> Path:
        return self.home / "macros"

    @property
    def gate_home(self) -> Path:
        return self.home / "gate"


def load(env: Mapping[str, str] = os.environ, *, home: Path | None = None) -> Settings:
    """Return the settings; a command's `--home` wins over OPSPILOT_HOME. Raises BadSetting naming the variable."""
    unknown = sorted(name for name in env if name.startswith("OPSPILOT_") and not _is_known(name))
    if unknown:
        raise BadSetting(f"{unknown[0]} is not a setting of opspilot-mcp. Known: {', '.join(KNOWN)}.")
    model = env.get("OPSPILOT_MODEL", "") or DEFAULT_MODEL
    if len(model) > 100 or not set(model.lower()) <= _MODEL_CHARS:
        raise BadSetting(f"OPSPILOT_MODEL is {quoted(model)}, not a model name. Unset it to use {DEFAULT_MODEL}.")
    key = env.get("ANTHROPIC_API_KEY", "").strip()
    return Settings(home=_home(env, home), model=model, anthropic_api_key=SecretStr(key) if key else None)


def _is_known(name: str) -> bool:
    # The gate's own variables (channel secrets, crash labels for its tests) are read in its process only.
    return name in KNOWN or name.startswith(("OPSPILOT_GATE_", "OPSPILOT_CRASH_", "OPSPILOT_BENCH"))


def _home(env: Mapping[str, str], given: Path | None) -> Path:
    named = env.get("OPSPILOT_HOME", "").strip()
    home = given or (Path(named) if named else platformdirs.user_data_path("opspilot-mcp", appauthor=False))
    try:
        home = home.expanduser()
        is_file = home.exists() and not home.is_dir()
    except (OSError, RuntimeError, ValueError):  # a name too long, or the home of a user there is not
        raise BadSetting(f"OPSPILOT_HOME is {quoted(str(home))}, which cannot be a folder. Name another.") from None
    if given is None and named and not home.is_absolute():
        raise BadSetting(f"OPSPILOT_HOME is {quoted(named)}, a relative path. Give the whole path.")
    if is_file:
        raise BadSetting(f"OPSPILOT_HOME points to {home}, which is a file. Name a folder.")
    return home.absolute()
