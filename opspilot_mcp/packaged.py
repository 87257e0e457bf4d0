"""The files that travel with the program: demo data, runbooks, macros, the default policy."""

from pathlib import Path

_HERE = Path(__file__).parent


def data_folder() -> Path:
    """Return the folder of packaged files: inside the wheel, or beside the package in a source checkout."""
    inside = _HERE / "_data"
    return inside if inside.is_dir() else _HERE.parent / "data"


def own_or_packaged(own: Path, name: str) -> Path:
    """Return the operator's folder where there is one, else the packaged folder `name`."""
    return own if own.is_dir() else data_folder() / name
