"""The schema in the code and the schema the migrations build are the same; a kill inside a migration leaves the old."""

import itertools
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, inspect, select

from opspilot_mcp.errors import StoreUnusable
from opspilot_mcp.store import audit, chain, migrate, schema, sqlite
from opspilot_mcp.store.schema import DESK

# Not tables of the metadata: full text, and Alembic's own.
_BESIDES = ("ticket_search", "alembic_version")


def differences(conn: Connection) -> list[object]:
    """Return what Alembic would still change to get from the database to the schema in the code."""

    def ours(item: object, name: str | None, kind: str, reflected: bool, compared: object) -> bool:
        return not (kind == "table" and str(name).startswith(_BESIDES))

    context = MigrationContext.configure(conn, opts={"include_object": ours, "compare_type": True})
    found: list[object] = compare_metadata(context, schema.metadata)
    return found


def test_migrations_build_the_schema_in_the_code(conn: Connection) -> None:
    assert differences(conn) == []


def test_an_upgrade_that_fails_leaves_an_empty_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = sqlite.connect(tmp_path / "desk.db")
    engine = sqlite.engine_over(raw, begin="BEGIN IMMEDIATE")
    monkeypatch.setattr("opspilot_mcp.store.guards.append_only", _fail)

    with engine.connect() as conn, pytest.raises(RuntimeError), conn.begin():
        migrate.upgrade(conn, DESK)

    with engine.connect() as conn:
        assert inspect(conn).get_table_names() == []
    raw.close()


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError("killed half way")


@pytest.fixture
def first_release(tmp_path: Path) -> Iterator[Connection]:
    """A desk of the first schema with audit rows of two sittings, a learnt word and a triage in it."""
    raw = sqlite.connect(tmp_path / "old.db")
    with sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").connect() as conn:
        migrate.upgrade(conn, replace(DESK, head="0001"))
        for statement in (
            """INSERT INTO audit VALUES (1, 1, 'a', 'x', 'T-1', '{"b": 1, "a": 2}')""",
            "INSERT INTO audit VALUES (7, 2, 'a', 'y', 'T-1', '{}')",
            "INSERT INTO learner_rows (hash, packed) VALUES (5, x'00ff')",
        ):
            conn.exec_driver_sql(statement)
        conn.commit()
        yield conn
    raw.close()


def test_a_desk_of_the_first_release_is_brought_to_the_schema_in_the_code(first_release: Connection) -> None:
    assert migrate.upgrade(first_release, DESK) is True

    assert differences(first_release) == []
    assert first_release.exec_driver_sql("SELECT hash, model, packed FROM learner_rows").all() == [
        (5, "category", b"\x00\xff")
    ]


def test_audit_rows_of_the_first_release_become_a_chain(first_release: Connection) -> None:
    migrate.upgrade(first_release, DESK)
    audit.record(first_release, "b", "z", "T-2", now=3)
    rows = first_release.execute(select(schema.audit).order_by(schema.audit.c.seq)).mappings().all()

    walk = chain.Walk()

    assert [walk.take(dict(row)) for row in rows] == [True, True, True]
    assert [(row["seq"], row["action"]) for row in rows] == [(1, "x"), (2, "y"), (3, "z")]
    with pytest.raises(Exception, match="append-only"):
        first_release.exec_driver_sql("DELETE FROM audit")


def test_an_upgrade_that_fails_leaves_the_first_release_as_it_was(
    first_release: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("opspilot_mcp.store.chain.linked", _fail)

    with pytest.raises(RuntimeError), first_release.begin():
        migrate.upgrade(first_release, DESK)

    assert migrate.revision(first_release) == "0001"
    assert first_release.exec_driver_sql("SELECT seq FROM audit ORDER BY seq").scalars().all() == [1, 7]
    with pytest.raises(Exception, match="append-only"):
        first_release.exec_driver_sql("DELETE FROM audit")


@pytest.fixture
def second_release(tmp_path: Path) -> Iterator[Connection]:
    """A desk of the second schema with three tickets and an answer that was sent; `move` writes their past."""
    raw = sqlite.connect(tmp_path / "old.db")
    with sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").connect() as conn:
        migrate.upgrade(conn, replace(DESK, head="0002"))
        for number in (1, 2, 3):
            conn.exec_driver_sql(
                "INSERT INTO tickets (id, version, source, subject, body, requester_verified, status, escalate, "
                "created_ms, updated_ms, first_response_due_ms, resolution_due_ms, breached, paused_ms) VALUES "
                "(?, 1, 'import', 's', 'b', 1, 'open', 0, 0, 0, 77, 99, '', ?)",
                (number, 900 if number == 3 else None),
            )
        for number, kind in ((1, "reply"), (2, "page")):
            conn.exec_driver_sql(
                "INSERT INTO proposals (id, kind, subject, subject_version, channel, title, body, principal, asked, "
                "outcome_ms, created_ms, updated_ms) "
                "VALUES (?, ?, 'T-1', 1, 'replies', 't', 'b', 'a', 'send', 150, 0, 0)",
                (number, kind),
            )
        conn.commit()
        yield conn
    raw.close()


def move(conn: Connection, ticket: str, action: str, at_ms: int, detail: str = "{}") -> None:
    conn.exec_driver_sql(
        "INSERT INTO audit SELECT coalesce(max(seq), 0) + 1, ?, 'a', ?, ?, ?, '', '' FROM audit",
        (at_ms, action, ticket, detail),
    )


def pauses(conn: Connection) -> list[str | None]:
    return list(conn.exec_driver_sql("SELECT pauses FROM tickets ORDER BY id").scalars())


def test_a_ticket_that_waited_in_the_second_release_keeps_its_pauses_and_its_instants(
    second_release: Connection,
) -> None:
    for at_ms, status in ((100, "pending"), (400, "open"), (500, "pending"), (700, "closed"), (900, "open")):
        move(second_release, "T-1", "ticket.updated", at_ms, f'{{"fields": ["status"], "status": "{status}"}}')
    move(second_release, "T-2", "ticket.updated", 100, '{"fields": ["priority"], "priority": "P2"}')
    move(second_release, "T-3", "ticket.updated", 900, '{"status": "pending"}')

    migrate.upgrade(second_release, DESK)

    assert pauses(second_release) == ["[[100, 400], [500, 700]]", None, None]
    columns = "SELECT first_response_due_ms, resolution_due_ms, paused_ms FROM tickets ORDER BY id"
    assert second_release.exec_driver_sql(columns).all() == [(77, 99, None), (77, 99, None), (77, 99, 900)]


@pytest.mark.parametrize(
    ("action", "subject", "detail", "ends"),
    [
        ("ticket.customer_wrote", "T-1", "{}", True),
        ("ticket.merged", "T-1", '{"into": "T-2"}', True),
        ("proposal.created", "PR-1", '{"for": "T-1"}', True),
        ("proposal.created", "PR-2", '{"for": "T-1"}', False),
        ("ticket.noted", "T-1", "{}", False),
        ("ticket.updated", "T-2", '{"status": "open"}', False),
    ],
)
def test_an_answer_s_pause_begins_when_it_was_sent_and_ends_with_the_next_move(
    second_release: Connection, action: str, subject: str, detail: str, ends: bool
) -> None:
    move(second_release, "T-1", "ticket.answered", 170, '{"proposal": "PR-1"}')
    move(second_release, subject, action, 300, detail)

    migrate.upgrade(second_release, DESK)

    assert pauses(second_release)[0] == ("[[150, 300]]" if ends else None)


def test_an_answer_to_a_ticket_that_was_done_was_no_pause(second_release: Connection) -> None:
    move(second_release, "T-1", "ticket.updated", 100, '{"status": "resolved"}')
    move(second_release, "T-1", "ticket.answered", 170, '{"proposal": "PR-1"}')
    move(second_release, "T-1", "ticket.customer_wrote", 300)

    migrate.upgrade(second_release, DESK)

    assert pauses(second_release) == [None, None, None]


def _upgrade_until_killed(path: Path, last: int) -> None:
    """Upgrade in a process that kills itself before statement `last`, counted from 0."""
    counted = itertools.count()

    def look(*_: object) -> None:
        if next(counted) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = sqlite.engine_over(sqlite.connect(path), begin="BEGIN IMMEDIATE")
    event.listen(engine, "before_cursor_execute", look)
    with engine.begin() as conn:
        migrate.upgrade(conn, DESK)


@pytest.mark.parametrize(
    ("start", "step"),
    [
        (None, 40),
        ("0001", 12),
        ("0002", 3),
        pytest.param(None, 1, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
        pytest.param("0002", 1, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
        pytest.param("0001", 1, marks=[pytest.mark.long, pytest.mark.timeout(900)]),
    ],
)
def test_g04_a_kill_inside_a_migration_leaves_the_schema_before_it(
    tmp_path: Path, start: str | None, step: int
) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "desk.db"
    if start:
        upgrade(path, replace(DESK, head=start))
    before = stored_schema(path)
    for last in itertools.count(0, step):
        process = context.Process(target=_upgrade_until_killed, args=(path, last))
        process.start()
        process.join(60)
        if process.exitcode == 0:
            break
        assert (process.exitcode, stored_schema(path)) == (-signal.SIGKILL, before)

    assert last >= step
    assert len(stored_schema(path)) > len(before)


def stored_schema(path: Path) -> list[tuple[str, str]]:
    """Return what a file holds, by name, after SQLite's own check of it."""
    with closing(sqlite.connect(path)) as raw:
        assert raw.execute("PRAGMA quick_check").fetchone() == ("ok",)
        return raw.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()


def upgrade(path: Path, lineage: migrate.Lineage) -> None:
    with closing(sqlite.connect(path)) as raw, sqlite.engine_over(raw, begin="BEGIN IMMEDIATE").begin() as conn:
        migrate.upgrade(conn, lineage)


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
