import random

import pytest

from opspilot_mcp.aiops.topology import CLOSURE_HOPS, Topology, plain
from opspilot_mcp.errors import InvalidInput
from tests.aiops.engine_kit import ESTATE, START, alert, estate


@pytest.mark.parametrize("spelt", ["orders", "Orders", "orders-svc", "orders-service", "orders_service"])
def test_a_service_is_known_under_its_usual_spellings(spelt: str) -> None:
    assert estate().resolve_service(spelt) == "orders"


def test_a_spelling_that_fits_two_services_means_neither() -> None:
    topology = Topology.from_json({"services": ["pay-svc", "pay-service"]})

    assert topology.resolve_service("pay") is None
    assert topology.resolve_service("pay-svc") == "pay-svc"


def test_a_service_called_service_keeps_its_name() -> None:
    assert plain("service") == "service"


def test_an_instance_leads_to_its_service_and_its_host() -> None:
    subject = estate().subject(alert(0, None, instance="orders-db-0"))

    assert (subject.entity, subject.host, subject.known) == ("orders-db", "node-4", True)


def test_a_pod_name_leads_to_its_service_even_when_the_pod_is_not_listed() -> None:
    assert estate().subject(alert(0, None, instance="orders-7c9f8d-xk2p4")).entity == "orders"


def test_the_host_an_alert_names_beats_the_map() -> None:
    assert estate().subject(alert(0, "orders", instance="orders-0", host="node-9")).host == "node-9"


def test_an_alert_of_a_host_is_about_the_host() -> None:
    subject = estate().subject(alert(0, None, host="node-3"))

    assert (subject.entity, subject.service) == ("node-3", None)


def test_a_name_in_the_text_is_the_last_resort() -> None:
    subject = estate().subject(alert(0, None, summary='ALARM: "orders-db: slow queries" in eu-west-1'))

    assert subject.entity == "orders-db"


def test_what_nobody_knows_is_still_about_something() -> None:
    subject = estate().subject(alert(0, None, summary="something broke"))

    assert (subject.entity, subject.known) == ("unknown", False)


def test_closures_count_calls_in_both_directions() -> None:
    topology = estate()

    assert topology.below("web") == {"web": 0, "api": 1, "orders": 2, "search": 2, "orders-db": 3}
    assert topology.above("orders-db") == {"orders-db": 0, "orders": 1, "api": 2, "web": 3}


def test_a_cycle_ends() -> None:
    topology = Topology.from_json({"calls": [["a", "b"], ["b", "c"], ["c", "a"], ["a", "a"]]})

    assert topology.below("a") == {"a": 0, "b": 1, "c": 2}


def test_a_closure_stops_after_its_hops() -> None:
    chain = [[f"s{n}", f"s{n + 1}"] for n in range(20)]

    assert max(Topology.from_json({"calls": chain}).below("s0").values()) == CLOSURE_HOPS


def test_a_call_to_an_unlisted_service_lists_it() -> None:
    assert "ghost" in Topology.from_json({"services": ["a"], "calls": [["a", "ghost"]]}).services


def test_the_order_of_the_input_changes_nothing() -> None:
    dice = random.Random(7)
    shuffled = {**ESTATE, "calls": dice.sample(ESTATE["calls"], len(ESTATE["calls"]))}
    shuffled["services"] = list(reversed(ESTATE["services"]))

    other = Topology.from_json(shuffled)

    assert list(other.callees.items()) == list(estate().callees.items())
    assert list(other.on_host.items()) == list(estate().on_host.items())


@pytest.mark.parametrize(("second", "covered"), [(3599, False), (3600, True), (4500, True), (4501, False)])
def test_maintenance_covers_its_window_ends_included(second: int, covered: bool) -> None:
    assert estate().in_maintenance("node-4", START + second * 1000) is covered


def test_maintenance_of_one_host_leaves_the_others_alone() -> None:
    assert not estate().in_maintenance("node-1", START + 3700 * 1000)
    assert not estate().in_maintenance(None, START + 3700 * 1000)


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        ({"services": "web"}, "services"),
        ({"services": [7]}, "services"),
        ({"services": [""]}, "services"),
        ({"calls": [["a"]]}, "calls"),
        ({"calls": [["a", None]]}, "calls"),
        ({"instances": ["a-0"]}, "instances"),
        ({"hosts": {"a-0": 3}}, "hosts"),
        ({"maintenance": [{"host": "n"}]}, "maintenance"),
        ({"maintenance": [{"host": "n", "start": 20, "end": 10}]}, "ends before"),
        ({"maintenance": [{"host": "n", "start": "soon", "end": 10}]}, "not a time"),
        ([], "JSON object"),
    ],
)
def test_a_broken_topology_is_refused_with_the_field_named(broken: object, field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        Topology.from_json(broken)


def test_what_a_fault_reaches_mirrors_what_each_service_depends_on() -> None:
    topology = estate()

    found = {
        (place, service): hops
        for place in (*topology.services, *topology.hosts)
        for service, hops in topology.harmed_by(place).items()
        if service in topology.services
    }

    assert found == {
        (place, service): hops
        for service in topology.services
        for place, hops in {**topology.hosts_below(service), **topology.below(service)}.items()
    }
