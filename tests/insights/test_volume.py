from sqlalchemy import Connection

from opspilot_mcp.clock import DAY_MS
from opspilot_mcp.insights import volume
from tests.conftest import NOON
from tests.insights.rows import WEEK, ticket


def test_tickets_are_counted_by_every_column_and_empty_ones_as_none(conn: Connection) -> None:
    ticket(conn, category="billing", priority="P2", tier="L1", sentiment="angry", triaged_ms=NOON)
    ticket(conn, category="billing", priority="P3", tier="L2", sentiment="neutral", triaged_ms=NOON)
    ticket(conn)

    found = volume.count(conn, NOON - WEEK, NOON)

    assert found.total == 3
    assert found.by_category == {"billing": 2, "none": 1}
    assert found.by_priority == {"P2": 1, "P3": 1, "none": 1}
    assert found.by_tier == {"L1": 1, "L2": 1, "none": 1}
    assert found.by_sentiment == {"angry": 1, "neutral": 1, "none": 1}
    assert found.untriaged == 1


def test_a_period_ends_with_its_last_instant_and_begins_after_its_first(conn: Connection) -> None:
    ticket(conn, age_ms=WEEK)
    ticket(conn, age_ms=WEEK - 1)
    ticket(conn, age_ms=0)
    ticket(conn, age_ms=-1)

    found = volume.count(conn, NOON - WEEK, NOON)

    assert found.total == 2


def test_a_merged_duplicate_counts_as_merged_and_nowhere_else(conn: Connection) -> None:
    kept = ticket(conn, category="billing")
    ticket(conn, category="billing", merged_into=kept)

    found = volume.count(conn, NOON - WEEK, NOON)

    assert (found.total, found.merged, found.open_backlog) == (1, 1, 1)
    assert found.by_category == {"billing": 1}


def test_the_backlog_holds_every_open_ticket_however_old(conn: Connection) -> None:
    for status in ("open", "in_review", "human_review", "escalated", "pending", "resolved", "closed"):
        ticket(conn, age_ms=90 * DAY_MS, status=status, triaged_ms=NOON)

    found = volume.count(conn, NOON - WEEK, NOON)

    assert (found.total, found.open_backlog, found.untriaged) == (0, 5, 0)


def test_an_empty_desk_has_no_counts(conn: Connection) -> None:
    found = volume.count(conn, NOON - WEEK, NOON)

    assert (found.total, found.open_backlog, found.by_status) == (0, 0, {})


def test_a_long_name_is_cleaned_and_cut_where_it_is_shown(conn: Connection) -> None:
    ticket(conn, category="x" * 60 + "\u202e\n# boo")

    found = volume.count(conn, NOON - WEEK, NOON)

    assert list(found.by_category) == ["x" * 39 + "…"]
