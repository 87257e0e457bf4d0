"""The options many commands have alike."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

Home = Annotated[Path | None, Parameter(help="The folder with desk.db and policy.toml, instead of OPSPILOT_HOME.")]
Json = Annotated[bool, Parameter(name="--json", negative="", help="Answer as JSON, for scripts.")]
