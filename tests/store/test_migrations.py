"""The schema in the code and the schema the migrations build are the same; a kill inside a migration leaves the old."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect

from opspilot_mcp.errors import StoreUnusable
from opspilot_mcp.store import migrate, sqlite
from opspilot_mcp.store.schema import DESK, metadata

# Not tables of the metadata: full text, and Alembic's own.
_BESIDES = ("ticket_search", "alembic_version")


def test_migrations_build_the_schema_in_the_code(conn: Connection) -> None:
    def ours(item: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
        return not (kind == "table" and str(name).startswith(_BESIDES))

    context = MigrationContext.configure(conn, opts={"include_object": ours, "compare_type": True})

    assert compare_metadata(context, metadata) == []


def test_an_upgrade_that_fails_leaves_an_empty_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = sqlite.connect(tmp_path / "desk.db")
    engine = sqlite.engine_over(raw, begin="BEGIN IMMEDIATE")
    monkeypatch.setattr("opspilot_mcp.store.guards.append_only", _fail)

    with engine.connect() as conn, pytest.raises(RuntimeError), conn.begin():
        migrate.upgrade(conn, DESK)

    with engine.connect() as conn:
        assert inspect(conn).get_table_names() == []
    raw.close()


def _fail(*_: object) -> None:
    raise RuntimeError("killed half way")


def test_a_second_upgrade_changes_nothing(conn: Connection) -> None:
    assert migrate.upgrade(conn, DESK) is False


def test_the_audit_refuses_change_and_deletion(conn: Connection) -> None:
    conn.exec_driver_sql("INSERT INTO audit VALUES (1, 1, 'a', 'b', 'c', '{}', '', '')")

    for statement in (
        "UPDATE audit SET actor = 'x'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit VALUES (1, 1, 'x', 'b', 'c', '{}', '', '')",
    ):
        with pytest.raises(Exception, match="append-only"):
            conn.exec_driver_sql(statement)

    assert conn.exec_driver_sql("SELECT actor FROM audit").scalar() == "a"


def test_require_names_the_next_step(conn: Connection) -> None:
    conn.exec_driver_sql("UPDATE alembic_version SET version_num = '0000'")

    with pytest.raises(StoreUnusable, match="Restart with the newest"):
        migrate.require(conn, DESK)
