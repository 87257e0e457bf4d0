"""Incidents live: acknowledged, resolved, re-opened, merged and split, and they tell their story."""

from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from opspilot_mcp.aiops import byhand, incidents, timeline
from opspilot_mcp.aiops.incidents import HOLD_MS, Incident, State
from opspilot_mcp.errors import Conflict, IllegalMove, InvalidInput, NotFound
from opspilot_mcp.store import audit
from opspilot_mcp.store import schema as tables
from tests.aiops.storms import SECOND, alert, estate, fault, fold
from tests.conftest import HOUR, MINUTE, NOON

ALICE = "operator:alice"


@pytest.fixture
def first(conn: Connection) -> Incident:
    """An open incident: the disk of cart-db is full, cart suffers."""
    estate(conn)
    fold(conn, [fault(1), alert(2, at=20)])
    return incidents.get(conn, "INC-1")


def row(conn: Connection, number: int, **over: Any) -> None:
    """Insert a bare incident whose last event came `number` minutes after NOON."""
    at = NOON + number * MINUTE
    values = {
        "key": f"k{number}",
        "version": 1,
        "state": "open",
        "title": "t",
        "severity": "warning",
        "tier": "L1",
        "pages": True,
        "cluster": "c",
        "env": "prod",
        "opened_ms": NOON,
        "last_event_ms": at,
        "alert_count": 1,
        "root_candidates": "[]",
    }
    conn.execute(insert(tables.incidents).values(values | over))


def move(conn: Connection, to: State, **over: Any) -> incidents.Changed:
    return incidents.move(conn, "INC-1", to, **{"actor": ALICE, "now": NOON + HOUR, **over})


# -- reading -----------------------------------------------------------------------------------------------------------


def test_an_incident_knows_its_alerts_services_and_likely_root(first: Incident) -> None:
    assert (first.id, first.state, first.severity, first.pages, first.alert_count) == (
        "INC-1",
        "open",
        "critical",
        True,
        2,
    )
    assert first.services == ("cart", "cart-db")
    assert first.root_candidates[0].entity == "cart-db"


def test_an_unknown_incident_is_not_found(conn: Connection) -> None:
    with pytest.raises(NotFound, match="list_incidents"):
        incidents.get(conn, "INC-9")


def test_the_list_is_paged_without_loss_or_repeat(conn: Connection) -> None:
    for number in range(1, 8):
        row(conn, number, last_event_ms=NOON + number // 2)

    seen, cursor = [], None
    while True:
        page = incidents.find(conn, cursor=cursor, limit=3)
        seen += [one.number for one in page.incidents]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert page.matching == 7


def test_the_list_keeps_to_states_and_service(conn: Connection) -> None:
    row(conn, 1)
    row(conn, 2, state="resolved")
    row(conn, 3, pages=False)
    conn.execute(insert(tables.incident_services).values(incident_id=3, service="cart"))

    def numbers(**wanted: Any) -> list[int]:
        return [one.number for one in incidents.find(conn, **wanted).incidents]

    assert numbers() == [3, 1]
    assert numbers(states=("resolved",)) == [2]
    assert numbers(service="cart") == [3]


@pytest.mark.parametrize("cursor", ["x", "1", "1.", "-1.2", "1.2.3", "9" * 50 + ".1", "\u0661.1"])
def test_a_made_up_cursor_is_refused(conn: Connection, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="next_cursor"):
        incidents.find(conn, cursor=cursor)


# -- people's moves ----------------------------------------------------------------------------------------------------


def test_acknowledging_is_stamped_audited_and_counts_the_version_up(conn: Connection, first: Incident) -> None:
    done = move(conn, "acknowledged", expected_version=first.version)

    assert (done.status, done.incident.state, done.incident.acknowledged_ms) == ("applied", "acknowledged", NOON + HOUR)
    assert done.incident.version == first.version + 1
    assert audit.of_subject(conn, "INC-1")[-1].actor == ALICE


def test_a_move_on_an_old_version_changes_nothing(conn: Connection, first: Incident) -> None:
    move(conn, "acknowledged")

    late = move(conn, "resolved", expected_version=first.version)

    assert (late.status, late.incident.state) == ("conflict", "acknowledged")


@pytest.mark.usefixtures("first")
def test_a_move_to_the_same_state_is_no_change(conn: Connection) -> None:
    assert move(conn, "open").status == "unchanged"


@pytest.mark.usefixtures("first")
def test_what_was_resolved_cannot_be_acknowledged(conn: Connection) -> None:
    move(conn, "resolved")

    with pytest.raises(IllegalMove, match="it can become open"):
        move(conn, "acknowledged")


def test_more_alerts_leave_the_version_a_graver_one_raises_it(conn: Connection) -> None:
    estate(conn)
    fold(conn, [fault(1, severity="warning")])
    before = incidents.get(conn, "INC-1").version

    fold(conn, [alert(2, at=5, severity="warning")])
    same = incidents.get(conn, "INC-1").version
    fold(conn, [alert(3, at=9, severity="critical", service="shop")])

    assert same == before
    assert incidents.get(conn, "INC-1").version == before + 1


def test_a_note_is_cleaned_kept_and_leaves_the_version(conn: Connection, first: Incident) -> None:
    incidents.add_note(conn, "INC-1", " tried\u202e a restart ", actor=ALICE, now=NOON)

    assert [note.body for note in incidents.notes(conn, first)] == ["tried a restart"]
    assert incidents.get(conn, "INC-1").version == first.version


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("body", ["", " \n", "\u200b", "x" * 20_001])
def test_an_empty_or_endless_note_is_refused(conn: Connection, body: str) -> None:
    with pytest.raises(InvalidInput):
        incidents.add_note(conn, "INC-1", body, actor=ALICE, now=NOON)


def test_a_climb_on_an_old_reading_is_a_conflict(conn: Connection, first: Incident) -> None:
    incidents.climb(conn, first, "L2", actor=ALICE, now=NOON)

    with pytest.raises(Conflict):
        incidents.climb(conn, first, "L2", actor=ALICE, now=NOON)


# -- recovery ----------------------------------------------------------------------------------------------------------


def resolve(conn: Connection, *numbers: int, at: int) -> None:
    ends = {1: fault, 2: alert}
    fold(conn, [ends[n](100 * at + n, at=at, status="resolved") for n in numbers])


@pytest.mark.usefixtures("first")
def test_an_incident_recovers_when_the_last_condition_ends(conn: Connection) -> None:
    resolve(conn, 1, at=60)
    half = incidents.get(conn, "INC-1").recovered_ms
    resolve(conn, 2, at=90)

    assert half is None
    assert incidents.get(conn, "INC-1").recovered_ms == NOON + 90 * SECOND


@pytest.mark.usefixtures("first")
def test_what_fires_and_ends_in_one_batch_has_recovered(conn: Connection) -> None:
    ends = [fault(4, at=60, status="resolved"), alert(5, at=60, status="resolved")]

    fold(conn, [fault(3, at=30), *ends])

    assert incidents.get(conn, "INC-1").recovered_ms == NOON + 60 * SECOND


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(("waited", "state"), [(HOLD_MS - 1, "open"), (HOLD_MS, "resolved")])
def test_recovery_must_last_before_it_resolves(conn: Connection, waited: int, state: str) -> None:
    resolve(conn, 1, 2, at=60)

    incidents.resolve_recovered(conn, actor="agent:test", now=NOON + 60 * SECOND + waited)

    found = incidents.get(conn, "INC-1")
    assert (found.state, found.resolved_ms) == (state, NOON + 60 * SECOND if state == "resolved" else None)


@pytest.mark.usefixtures("first")
def test_flapping_does_not_resolve(conn: Connection) -> None:
    resolve(conn, 1, 2, at=60)
    fold(conn, [fault(50, at=120)])

    resolved = incidents.resolve_recovered(conn, actor="agent:test", now=NOON + HOUR)

    assert (resolved, incidents.get(conn, "INC-1").state) == ([], "open")


@pytest.mark.usefixtures("first")
def test_a_late_word_about_the_past_does_not_undo_recovery(conn: Connection) -> None:
    resolve(conn, 1, 2, at=60)

    fold(conn, [fault(50, at=90, ts_ms=NOON + 30 * SECOND)])

    assert incidents.get(conn, "INC-1").recovered_ms == NOON + 60 * SECOND


def test_an_incident_has_recovered_when_what_still_fires_moves_to_another_cause(conn: Connection) -> None:
    estate(conn)
    fold(conn, [fault(1), alert(2, at=50, service="shop")])
    fold(conn, [fault(3, at=51, status="resolved")])
    before = incidents.get(conn, "INC-1").recovered_ms

    fold(conn, [alert(4, at=52, alertname="PodCrashLooping", summary="restarts")])

    assert members(conn, 2) == {"a-2", "a-4"}
    assert (before, incidents.get(conn, "INC-1").recovered_ms) == (None, NOON + 51 * SECOND)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(("at", "state"), [(59, "resolved"), (60, "resolved"), (61, "open")])
def test_only_an_alert_that_fires_after_the_resolve_reopens(conn: Connection, at: int, state: str) -> None:
    move(conn, "resolved", now=NOON + 60 * SECOND)

    done = fold(conn, [fault(50, at=at)])

    assert incidents.get(conn, "INC-1").state == state
    assert done.reopened == ((1,) if state == "open" else ())


# -- merge and split ---------------------------------------------------------------------------------------------------


@pytest.fixture
def second(conn: Connection, first: Incident) -> Incident:
    """Another incident at the same time, at a place that nothing connects with the first."""
    assert first.number == 1
    fold(conn, [fault(10, at=30, service="mailer", summary="queue disk full")])
    return incidents.get(conn, "INC-2")


def members(conn: Connection, number: int) -> set[str]:
    table = tables.alerts
    return set(conn.execute(select(table.c.alert_id).where(table.c.incident_id == number)).scalars())


@pytest.mark.usefixtures("second")
def test_a_merge_moves_the_alerts_and_says_where_they_went(conn: Connection) -> None:
    survivor = byhand.merge(conn, "INC-2", "INC-1", actor=ALICE, now=NOON)

    loser = incidents.get(conn, "INC-2")
    assert (loser.state, loser.merged_into) == ("merged", 1)
    assert members(conn, 1) == {"a-1", "a-2", "a-10"}
    assert (survivor.alert_count, survivor.services) == (3, ("cart", "cart-db", "mailer"))


@pytest.mark.usefixtures("second")
def test_after_a_merge_the_next_alert_goes_to_the_survivor(conn: Connection) -> None:
    byhand.merge(conn, "INC-2", "INC-1", actor=ALICE, now=NOON)

    fold(conn, [fault(11, at=60, service="mailer", summary="queue disk full")])

    assert "a-11" in members(conn, 1)


@pytest.mark.usefixtures("second")
def test_a_merged_incident_takes_no_more_moves(conn: Connection) -> None:
    byhand.merge(conn, "INC-2", "INC-1", actor=ALICE, now=NOON)

    with pytest.raises(IllegalMove, match="INC-1"):
        incidents.move(conn, "INC-2", "resolved", actor=ALICE, now=NOON)
    with pytest.raises(IllegalMove):
        byhand.merge(conn, "INC-2", "INC-1", actor=ALICE, now=NOON)


@pytest.mark.usefixtures("second")
def test_an_incident_is_not_merged_into_itself_or_across_environments(conn: Connection) -> None:
    fold(conn, [fault(20, at=40, env="staging")])

    with pytest.raises(InvalidInput):
        byhand.merge(conn, "INC-1", "INC-1", actor=ALICE, now=NOON)
    with pytest.raises(IllegalMove, match="environments"):
        byhand.merge(conn, "INC-3", "INC-1", actor=ALICE, now=NOON)


@pytest.mark.usefixtures("first")
def test_what_grows_is_not_merged_into_what_is_over(conn: Connection) -> None:
    fold(conn, [fault(10, at=3 * 3600, service="mailer", summary="queue disk full")])

    with pytest.raises(IllegalMove, match="Merge it into INC-2"):
        byhand.merge(conn, "INC-2", "INC-1", actor=ALICE, now=NOON)
    survivor = byhand.merge(conn, "INC-1", "INC-2", actor=ALICE, now=NOON)
    assert survivor.alert_count == len(members(conn, 2)) == 3


@pytest.mark.usefixtures("first")
def test_a_split_takes_the_alerts_of_a_place_to_a_new_incident(conn: Connection) -> None:
    new = byhand.split(conn, "INC-1", ["cart"], actor=ALICE, now=NOON)

    assert (new.id, members(conn, 1), members(conn, 2)) == ("INC-2", {"a-1"}, {"a-2"})
    assert [incidents.get(conn, "INC-1").alert_count, new.alert_count] == [1, 1]
    assert [incidents.get(conn, "INC-1").services, new.services] == [("cart-db",), ("cart",)]


@pytest.mark.usefixtures("first")
def test_correlation_respects_a_split(conn: Connection) -> None:
    byhand.split(conn, "INC-1", ["cart"], actor=ALICE, now=NOON)

    fold(conn, [alert(30, at=40), fault(31, at=41)])

    assert "a-30" in members(conn, 2)
    assert "a-31" in members(conn, 1)


@pytest.mark.usefixtures("first")
def test_a_split_of_an_incident_that_is_over_only_moves_its_alerts(conn: Connection) -> None:
    fold(conn, [fault(10, at=3 * 3600, service="mailer", summary="queue disk full")])

    new = byhand.split(conn, "INC-1", ["cart"], actor=ALICE, now=NOON)

    assert (members(conn, 1), members(conn, new.number)) == ({"a-1"}, {"a-2"})
    assert new.services == ("cart",)


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("names", [[], ["nowhere"], ["cart", "cart-db"]])
def test_a_split_that_moves_none_or_all_is_refused(conn: Connection, names: list[str]) -> None:
    with pytest.raises(InvalidInput, match=r"none|all"):
        byhand.split(conn, "INC-1", names, actor=ALICE, now=NOON)


@pytest.mark.usefixtures("second")
def test_what_two_merges_moved_is_found_at_the_end(conn: Connection) -> None:
    fold(conn, [fault(20, at=40, service="elsewhere", summary="third disk")])

    byhand.merge(conn, "INC-1", "INC-2", actor=ALICE, now=NOON)
    byhand.merge(conn, "INC-2", "INC-3", actor=ALICE, now=NOON)

    assert incidents.survivors(conn, [1, 2, 7]) == {1: 3, 2: 3, 7: 7}


# -- the story ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("first")
def test_members_are_folded_by_condition_with_the_first_reason(conn: Connection) -> None:
    fold(conn, [fault(3, at=60), alert(4, at=70, severity="warning"), alert(5, at=99, status="resolved")])

    told = timeline.members(conn, incidents.get(conn, "INC-1"))

    disk, errors = told.members
    assert (told.total, disk.alertname, disk.alerts, disk.status) == (2, "DiskFull", 2, "firing")
    assert (errors.alerts, errors.status, errors.severity) == (3, "resolved", "critical")
    assert disk.why is not None
    assert disk.why.kind == "opened"


def test_members_beyond_the_limit_are_counted(conn: Connection, first: Incident) -> None:
    told = timeline.members(conn, first, limit=1)

    assert (len(told.members), told.total) == (1, 2)


def test_the_timeline_tells_alerts_moves_and_notes_in_order(conn: Connection, first: Incident) -> None:
    move(conn, "acknowledged", now=NOON + HOUR)
    incidents.add_note(conn, "INC-1", "restarted it", actor=ALICE, now=NOON + 2 * HOUR)
    told = timeline.members(conn, first)

    events = timeline.events(conn, first, told.members)

    assert [event.what for event in events] == ["alert", "incident.opened", "alert", "incident.acknowledged", "note"]
    assert events[-1].text == "restarted it"
