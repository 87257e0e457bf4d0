"""Where several causes are at work at once: what opens an incident of its own, and when it is told."""

import pytest

from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.correlation import Engine
from opspilot_mcp.aiops.topology import Topology
from tests.aiops.engine_kit import ESTATE, alert, estate, keys, run, through_json

DATABASE = alert(0, "orders-db", "DBSlowQueries")
MAIL = alert(10, "mail", "OOMKilled")
LATE_HARM = alert(160, "orders")  # 90 s later than harm one call above the database is expected


def pages(engine: Engine, key: str | None) -> bool:
    view = engine.view(key or "")
    assert view is not None
    return view.pages


def test_harm_that_one_cause_alone_explains_badly_joins_it() -> None:
    assert run([DATABASE, LATE_HARM])[1].reason.kind == "depends_on"


def test_harm_that_one_of_several_causes_explains_badly_is_a_cause_of_its_own() -> None:
    placed = run([DATABASE, MAIL, LATE_HARM])

    assert placed[2].opened
    assert placed[2].also_explained_by == (placed[0].incident_key,)


def test_harm_that_one_of_several_causes_explains_well_joins_it() -> None:
    assert run([DATABASE, MAIL, alert(70, "orders")])[2].reason.kind == "depends_on"


@pytest.mark.parametrize(("second", "opens"), [(-441, False), (-440, True)])
def test_a_cause_counts_as_another_one_at_work_for_ten_minutes(second: int, opens: bool) -> None:
    earlier = alert(second, "mail", "OOMKilled")

    assert run([earlier, DATABASE, LATE_HARM])[2].opened is opens


@pytest.mark.parametrize(("services", "opens"), [(50, True), (51, False)])
def test_one_other_cause_is_many_on_a_small_map_only(services: int, opens: bool) -> None:
    more = [f"shop-{n}" for n in range(services - len(ESTATE["services"]))]
    engine = Engine(Topology.from_json({**ESTATE, "services": [*ESTATE["services"], *more]}))

    assert run([DATABASE, MAIL, LATE_HARM], engine)[2].opened is opens


@pytest.mark.parametrize(("second", "kind"), [(20, "cause_of"), (21, "opened")])
def test_among_several_causes_one_that_shows_long_after_the_harm_is_another_one(second: int, kind: str) -> None:
    placed = run([alert(-10, "mail", "OOMKilled"), alert(0, "orders"), alert(second, "orders-db", "DBSlowQueries")])

    assert placed[2].reason.kind == kind


def test_what_may_belong_to_another_incident_pages_with_its_second_condition() -> None:
    engine = Engine(estate())
    key = run([DATABASE, MAIL, LATE_HARM], engine)[2].incident_key
    alone = pages(engine, key)
    engine.receive(alert(165, "orders", instance="orders-0"))
    repeated = pages(engine, key)
    joined = engine.receive(alert(170, "orders", "HighLatencyP99"))

    assert joined.incident_key == key
    assert (alone, repeated, pages(engine, key)) == (False, False, True)


def test_nothing_waits_for_company_beside_an_incident_that_pages_nobody() -> None:
    engine = Engine(estate())
    quiet = alert(0, "orders-db", "DBSlowQueries", severity="warning")

    key = run([quiet, MAIL, LATE_HARM], engine)[2].incident_key

    assert pages(engine, key)


def test_a_restored_engine_still_waits_for_the_second_condition() -> None:
    engine = Engine(estate())
    key = run([DATABASE, MAIL, LATE_HARM], engine)[2].incident_key

    assert not pages(through_json(engine, estate()), key)


HARM_EVERYWHERE = [alert(0, "orders-db"), alert(5, "orders"), alert(10, "api"), alert(15, "web")]


@pytest.mark.parametrize(("service", "opens"), [("orders-db", False), ("web", True)])
def test_a_fault_joins_harm_without_a_cause_only_where_it_explains_most_of_it(service: str, opens: bool) -> None:
    placed = run([*HARM_EVERYWHERE, alert(25, service, "OOMKilled")])

    assert placed[4].opened is opens


def _two_causes_under(beside: list[Alert]) -> bool:
    """Whether harm over two calls goes to the first of two faults that explain it nearly alike."""
    calls = [["web", "api"], ["api", "first"], ["api", "second"], ["beside", "first"]]
    faults = [alert(0, "first", "OOMKilled"), alert(1, "second", "OOMKilled")]
    ends = keys(run([*faults, *beside, alert(120, "web")], Engine(Topology.from_json({"calls": calls}))))
    return ends[-1] == ends[0]


def test_of_two_causes_that_explain_far_harm_alike_the_one_that_spread_wider_takes_it() -> None:
    assert not _two_causes_under([])
    assert _two_causes_under([alert(45, "beside")])


def test_the_same_words_under_another_change_are_no_repeat() -> None:
    told = [alert(0, "search", "OOMKilled"), alert(30, "search", "UpstreamTimeouts")]

    placed = run([*told, alert(60, "search", "UpstreamTimeouts", change="chg-9")])

    assert placed[2].opened


def test_a_resolve_finds_its_alert_whatever_change_it_names() -> None:
    told = [alert(0, "search", "OOMKilled"), alert(30, "search", "UpstreamTimeouts")]

    placed = run([*told, alert(60, "search", "UpstreamTimeouts", change="chg-9", status="resolved")])

    assert placed[2].incident_key == placed[1].incident_key
