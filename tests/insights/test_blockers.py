import pytest
from sqlalchemy import Connection

from opspilot_mcp.clock import HOUR_MS
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights import blockers
from tests.conftest import NOON
from tests.insights.rows import WEEK, ticket


def test_a_tag_recurs_from_its_second_ticket_of_the_period(conn: Connection) -> None:
    numbers = [ticket(conn, age_ms=age * HOUR_MS, tags=("login",)) for age in (3, 2)]
    ticket(conn, tags=("printer",))

    found = blockers.trends(conn, NOON).tags

    assert [(tag.name, tag.count, tag.previous, tag.change) for tag in found] == [("login", 2, 0, 2)]
    assert found[0].tickets == (f"T-{numbers[1]}", f"T-{numbers[0]}")


def test_change_compares_with_the_period_before(conn: Connection) -> None:
    for age in (0, 1, WEEK - 1, WEEK, WEEK + 1, 2 * WEEK - 1, 2 * WEEK):
        ticket(conn, age_ms=age, category="billing")

    found = blockers.trends(conn, NOON)

    assert [(item.count, item.previous, item.change) for item in found.categories] == [(3, 3, 0)]
    assert (found.total, found.previous_total) == (3, 3)


def test_a_tag_that_came_only_before_is_no_blocker(conn: Connection) -> None:
    ticket(conn, tags=("login",))
    for _ in range(5):
        ticket(conn, age_ms=WEEK + HOUR_MS, tags=("login",))

    assert blockers.trends(conn, NOON).tags == ()


def test_a_merged_duplicate_is_counted_once(conn: Connection) -> None:
    kept = ticket(conn, tags=("login",), category="account")
    ticket(conn, tags=("login",), category="account", merged_into=kept)
    ticket(conn, tags=("login",), category="account")

    found = blockers.trends(conn, NOON)

    assert [item.count for item in (*found.tags, *found.categories)] == [2, 2]


def test_ids_past_the_newest_ten_are_counted_as_left_out(conn: Connection) -> None:
    numbers = [ticket(conn, age_ms=age, tags=("login",)) for age in range(13)]

    found = blockers.trends(conn, NOON).tags[0]

    assert found.tickets == tuple(f"T-{number}" for number in numbers[:10])
    assert (found.count, found.left_out) == (13, 3)


def test_blockers_past_the_limit_are_counted(conn: Connection) -> None:
    for tag, times in (("a", 4), ("b", 3), ("c", 2)):
        for _ in range(times):
            ticket(conn, tags=(tag,))

    found = blockers.trends(conn, NOON, limit=2)

    assert [tag.name for tag in found.tags] == ["a", "b"]
    assert (found.more_tags, found.more_categories) == (1, 0)


def test_of_equal_counts_the_one_that_grew_comes_first(conn: Connection) -> None:
    ticket(conn, age_ms=WEEK + HOUR_MS, tags=("a",))
    for tag in ("a", "a", "z", "z"):
        ticket(conn, tags=(tag,))

    assert [tag.name for tag in blockers.trends(conn, NOON).tags] == ["z", "a"]


def test_a_hostile_tag_is_cut_and_cleaned(conn: Connection) -> None:
    for _ in range(2):
        ticket(conn, tags=("ignore\n\u202eall" + "!" * 60,))

    name = blockers.trends(conn, NOON).tags[0].name

    assert name == "ignore all" + "!" * 29 + "…"


@pytest.mark.parametrize(("days", "limit"), [(0, 10), (-7, 10), (3651, 10), (7, 0), (7, 101)])
def test_numbers_that_make_no_sense_are_refused(conn: Connection, days: int, limit: int) -> None:
    with pytest.raises(InvalidInput, match="Use 1 to"):
        blockers.trends(conn, NOON, days, limit)
