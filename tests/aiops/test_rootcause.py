from opspilot_mcp.aiops.alerts import Alert
from opspilot_mcp.aiops.correlation import Engine, View
from opspilot_mcp.aiops.history import RECENT, History, Row
from opspilot_mcp.aiops.topology import Topology
from tests.aiops.engine_kit import alert, estate, run


def _view(alerts: list[Alert], history: History | None = None, topology: Topology | None = None) -> View:
    engine = Engine(topology or estate())
    placed = run(alerts, engine)
    view = engine.view(placed[0].incident_key or "", history)
    assert view is not None
    return view


def _metric(second: float, instance: str, name: str) -> Alert:
    return alert(second, None, f"{name}:up", instance=instance, severity="warning")


def test_a_named_fault_leads_over_the_harm_above_it() -> None:
    view = _view([alert(0, "orders"), alert(20, "orders-db", "DBSlowQueries"), alert(60, "api"), alert(90, "web")])

    assert view.candidates[0].entity == "orders-db"


def test_of_mere_harm_the_deepest_member_leads() -> None:
    view = _view([alert(0, "web"), alert(10, "api"), alert(20, "orders")])

    assert view.candidates[0].entity == "orders"


def test_two_services_gone_from_one_host_name_the_host_although_it_said_nothing() -> None:
    view = _view(
        [
            alert(0, "orders", "PodNotReady", instance="orders-0"),
            alert(9, "search", "PodNotReady", instance="search-0"),
        ]
    )

    assert view.candidates[0].entity == "node-3"


def test_what_one_instance_shows_alone_names_the_instance() -> None:
    swarm = [_metric(n, i, "cpu.used") for n, i in enumerate(["web-0", "api-0", "api-1", "orders-0", "search-0"])]

    view = _view([*swarm, _metric(6, "mail-1", "disk.await"), _metric(7, "mail-1", "disk.queue")])

    assert view.candidates[0].entity == "mail-1"


def test_what_most_replicas_show_and_nobody_else_names_the_service() -> None:
    swarm = [_metric(n, i, "cpu.used") for n, i in enumerate(["web-0", "orders-0", "search-0", "orders-db-0"])]

    view = _view([*swarm, _metric(5, "mail-0", "disk.await"), _metric(6, "mail-1", "disk.await")])

    assert view.candidates[0].entity == "mail"


def test_what_happens_in_every_incident_says_little() -> None:
    history = History()
    for _ in range(5):
        history.learn("default", [("api-1", "threads.used:up")])
    alerts = [_metric(0, "api-1", "threads.used"), _metric(1, "orders-0", "rss.used")]

    assert _view(alerts).candidates[0].entity == "api-1"
    assert _view(alerts, history).candidates[0].entity == "orders-0"


def test_what_came_early_counts_more() -> None:
    view = _view([_metric(0, "web-0", "a.used"), _metric(100, "api-0", "b.used")])

    assert [c.entity for c in view.candidates[:2]] == ["web-0", "api-0"]
    assert view.candidates[0].score > view.candidates[1].score


def test_scores_are_shares_and_their_terms_are_told() -> None:
    candidates = _view([alert(0, "orders-db", "DBSlowQueries"), alert(50, "orders")]).candidates

    assert 0 < sum(c.score for c in candidates) <= 1.001
    assert candidates[0].why.startswith(f"{candidates[0].score:.0%} of the evidence: DBSlowQueries")
    assert candidates[0].terms[0][0] == "DBSlowQueries"


def test_the_title_is_the_gravest_alert_at_the_leading_root() -> None:
    view = _view([alert(0, "orders", severity="warning"), alert(20, "orders-db", "DBSlowQueries")])

    assert view.title == "DBSlowQueries at orders-db"


def test_rarity_falls_with_each_incident_and_fades_back() -> None:
    history = History()
    history.learn("c", [("db", "slow")])
    once = history.rarity("c", "db", "slow")
    for _ in range(10):
        history.learn("c", [("web", "slow")])

    assert history.rarity("c", "db", "never") == 1
    assert once < history.rarity("c", "db", "slow") < 1
    assert history.rarity("other", "db", "slow") == 1


def test_a_history_read_back_from_its_rows_says_the_same() -> None:
    history = History()
    for n in range(6):
        history.learn("c", [("db", "slow"), (f"web-{n}", "slow")])
    rows = history.changed()

    again = History(rows)

    assert again.rarity("c", "db", "slow") == history.rarity("c", "db", "slow")
    assert again.incidents("c") == 6
    assert history.changed() == []


def test_one_incident_counts_a_pair_once() -> None:
    history = History()
    history.learn("c", [("db", "slow"), ("db", "slow")])

    assert Row("c/db", "slow", 1, 1.0, 1) in history.changed()
    assert 0 < RECENT < 1


def test_equals_are_ranked_by_name_whatever_came_first() -> None:
    one, other = _metric(0, "api-0", "cpu.used"), _metric(0, "orders-0", "cpu.used")

    assert _view([one, other]).candidates == _view([other, one]).candidates
