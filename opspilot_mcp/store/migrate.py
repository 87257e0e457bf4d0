"""Brings a database to this program's schema: one process migrates, the others find it done.

The whole upgrade is one transaction: SQLite's DDL is transactional, so a kill inside it leaves the old schema.
Alembic is imported only when there is something to do.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, inspect

from opspilot_mcp.errors import StoreUnusable


@dataclass(frozen=True)
class Lineage:
    """A database's schema history: its name, the newest revision, and the folder of Alembic's scripts."""

    name: str
    head: str
    scripts: Path


def revision(conn: Connection) -> str | None:
    """Return the schema revision in force, or None in an empty database."""
    if not inspect(conn).has_table("alembic_version"):
        return None
    found: str | None = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def require(conn: Connection, lineage: Lineage) -> None:
    """Refuse to go on when another program version has changed the schema since we looked."""
    found = conn.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    if found != lineage.head:
        raise StoreUnusable(
            f"The {lineage.name} database has schema {found}, this program writes {lineage.head}. "
            "Restart with the newest opspilot-mcp."
        )


def upgrade(conn: Connection, lineage: Lineage) -> bool:
    """Bring the schema to `lineage.head` inside the caller's write transaction; True when something changed.

    Raises StoreUnusable when the database is newer than this program.
    """
    found = revision(conn)
    if found == lineage.head:
        return False
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(lineage.scripts).replace("%", "%%"))
    config.attributes["connection"] = conn
    try:
        ScriptDirectory.from_config(config).get_revision(found or "base")
    except CommandError as error:
        raise StoreUnusable(
            f"The {lineage.name} database has schema {found}, newer than this program's {lineage.head}. "
            "Install the newest opspilot-mcp."
        ) from error
    command.upgrade(config, lineage.head)
    return True
