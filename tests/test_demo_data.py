"""The demo data is well-formed, complete, and not the bench's."""

import json
import os
import re
import string
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
BENCH = Path(os.environ.get("OPSPILOT_BENCH") or ROOT.parent / "shared" / "bench")
BENCH_STORM = BENCH / "alerts" / "data" / "demo_storm.jsonl"
BENCH_TICKETS = BENCH / "tickets" / "data" / "golden_dev.jsonl"
CATEGORIES = {"billing", "technical", "account", "feature_request", "other"}
PRIORITIES = {"P1", "P2", "P3", "P4"}
ALERT_KEYS = ["id", "ts", "arr", "cluster", "env", "service", "instance", "host", "alertname", "severity"]
ALERT_KEYS += ["summary", "source", "status", "change", "labels"]
TICKET_KEYS = {"external_id", "subject", "body", "requester_name", "requester_email", "created_at", "tags"}
Record = dict[str, Any]


def lines(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def loaded(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


def documents(folder: str) -> dict[str, tuple[Record, str]]:
    """{file stem: (front matter, body)} of every Markdown file in a folder."""
    found = {}
    for path in sorted((DATA / folder).glob("*.md")):
        _, front, body = path.read_text(encoding="utf-8").split("---\n", 2)
        found[path.stem] = (yaml.safe_load(front), body)
    return found


def plain(service: str) -> str:
    return re.sub(r"-(svc|service)$", "", service.lower().replace("_", "-"))


def seconds(iso: str) -> int:
    return int(datetime.strptime(iso, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp())


def words(texts: Iterable[str]) -> Iterator[set[str]]:
    return (set(re.findall(r"\w+", text.lower())) for text in texts)


TICKETS = lines(DATA / "tickets.jsonl")
GOLDEN: dict[str, Record] = {row["external_id"]: row for row in loaded("tickets_golden.json")}
STORM = lines(DATA / "storm.jsonl")
TRUTH = loaded("storm_truth.json")
TOPOLOGY = loaded("topology.json")
RUNBOOKS = documents("runbooks")
MACROS = documents("macros")


def with_trait(name: str) -> list[Record]:
    return [row for row in GOLDEN.values() if any(trait.split(":")[0] == name for trait in row["traits"])]


def alerts_of(label: str) -> list[Record]:
    return [alert for alert in STORM if TRUTH["labels"][alert["id"]] == label]


# Tickets


def test_every_ticket_has_exactly_the_public_fields_and_none_is_blank() -> None:
    keys = [set(ticket) for ticket in TICKETS]
    texts = [ticket[key].strip() for ticket in TICKETS for key in TICKET_KEYS - {"tags"}]

    assert len(TICKETS) == 24
    assert all(found == TICKET_KEYS for found in keys)
    assert all(texts)


def test_ticket_ids_are_unique_and_the_golden_answers_cover_them_all() -> None:
    ids = [ticket["external_id"] for ticket in TICKETS]

    assert len(set(ids)) == 24
    assert list(GOLDEN) == ids


def test_tickets_arrive_in_order_over_three_days() -> None:
    created = [ticket["created_at"] for ticket in TICKETS]

    assert created == sorted(created)
    assert {seconds(at) // 86_400 for at in created} == {
        seconds(f"2026-11-{d}T00:00:00Z") // 86_400 for d in (18, 19, 20)
    }


def test_every_requester_lives_under_a_reserved_name() -> None:
    hosts = [ticket["requester_email"].partition("@")[2] for ticket in TICKETS]
    mentioned = re.findall(r"[\w.+-]+@([\w.-]+\w)", (DATA / "tickets.jsonl").read_text(encoding="utf-8"))

    assert all(re.search(r"(^|\.)example(\.(com|org|net))?$", host) for host in hosts + mentioned)


def test_golden_answers_use_the_desks_own_words() -> None:
    assert {row["category"] for row in GOLDEN.values()} == CATEGORIES
    assert {row["priority"] for row in GOLDEN.values()} == PRIORITIES
    assert {row["sentiment"] for row in GOLDEN.values()} == {"positive", "neutral", "negative", "urgent"}
    assert {row["expected_queue"] for row in GOLDEN.values()} == {"auto", "human"}


def test_what_must_not_be_routed_alone_goes_to_a_person() -> None:
    names = ("vague", "multi_issue", "injection", "legal_threat", "authority_change", "off_topic")
    p1 = [row for row in GOLDEN.values() if row["priority"] == "P1"]

    expected = {row["external_id"] for rows in (p1, *map(with_trait, names)) for row in rows}

    assert {i for i, row in GOLDEN.items() if row["expected_queue"] == "human"} == expected


def test_every_kind_of_ticket_a_newcomer_should_meet_is_there() -> None:
    names = ["vague", "false_urgency", "calm_p1", "outage", "data_loss", "injection", "legal_threat", "off_topic"]
    names += ["multi_issue", "long", "thanks", "authority_change"]

    counts = {name: len(with_trait(name)) for name in names}

    assert counts == dict.fromkeys(names, 1)
    assert len(with_trait("duplicate")) == 2


def test_four_languages_besides_english_are_written() -> None:
    spoken = Counter(row["language"] for row in GOLDEN.values())

    assert spoken == {"en": 19, "de": 2, "fr": 1, "es": 1, "pl": 1}


def test_two_blockers_recur() -> None:
    tags = Counter(tag for ticket in TICKETS for tag in ticket["tags"])
    codes = [ticket["external_id"] for ticket in TICKETS if "SSO-118" in ticket["body"]]

    assert tags["sso"] == len(codes) == 3
    assert tags["invoice-export"] == 2


def test_no_tag_names_a_category_or_a_priority() -> None:
    tags = {tag.lower() for ticket in TICKETS for tag in ticket["tags"]}

    assert not tags & {name.lower() for name in CATEGORIES | PRIORITIES}


# Storm


def test_the_storm_has_forty_canonical_alerts_without_the_answer() -> None:
    assert len(STORM) == 40
    assert all(list(alert) == ALERT_KEYS for alert in STORM)
    assert {alert["severity"] for alert in STORM} == {"info", "warning", "error", "critical"}
    assert {alert["status"] for alert in STORM} == {"firing", "resolved"}


def test_alert_ids_follow_arrival_and_one_alert_is_late() -> None:
    arrivals = [alert["arr"] for alert in STORM]
    late = [alert["arr"] - alert["ts"] for alert in STORM if alert["arr"] - alert["ts"] > 60]

    assert arrivals == sorted(set(arrivals))
    assert [alert["id"] for alert in STORM] == [f"a{n:02d}" for n in range(1, 41)]
    assert len(late) == 1


def test_every_service_in_the_storm_is_known_or_an_alias() -> None:
    named = {alert["service"] for alert in STORM if alert["service"]}

    assert {plain(name) for name in named} <= set(TOPOLOGY["services"])
    assert named - set(TOPOLOGY["services"]) == {"planner-svc", "notifier_service"}


def test_instances_and_hosts_of_the_storm_stand_in_the_topology() -> None:
    placed = [(alert["instance"], alert["host"]) for alert in STORM if alert["instance"]]
    hosts = {alert["host"] for alert in STORM if alert["host"]}

    assert all(TOPOLOGY["hosts"][instance] == host for instance, host in placed)
    assert hosts <= set(TOPOLOGY["hosts"].values())


def test_the_topology_refers_only_to_what_it_lists() -> None:
    services = set(TOPOLOGY["services"])

    assert {name for call in TOPOLOGY["calls"] for name in call} <= services
    assert set(TOPOLOGY["instances"].values()) == services
    assert set(TOPOLOGY["hosts"]) == set(TOPOLOGY["instances"])
    assert len(TOPOLOGY["maintenance"]) == 1


def test_every_alert_is_labelled_with_a_cause_or_as_noise() -> None:
    counts = Counter(TRUTH["labels"].values())
    causes = {incident["id"] for incident in TRUTH["incidents"]}

    assert list(TRUTH["labels"]) == [alert["id"] for alert in STORM]
    assert {label for label in counts if not label.startswith("noise:")} == causes
    assert sum(n for label, n in counts.items() if label.startswith("noise:")) == 5


@pytest.mark.parametrize("incident", TRUTH["incidents"], ids=lambda incident: str(incident["id"]))
def test_a_cause_starts_and_ends_with_its_alerts(incident: Record) -> None:
    times = [alert["ts"] for alert in alerts_of(incident["id"])]
    changes = {alert["change"] for alert in alerts_of(incident["id"])} - {None}

    assert (incident["start"], incident["end"]) == (min(times), max(times))
    assert changes == {incident["change"]} - {None}
    assert incident["root"] in {*TOPOLOGY["services"], *TOPOLOGY["hosts"].values()}


def test_the_bad_release_overlaps_the_database_failure() -> None:
    times = {incident["kind"]: incident for incident in TRUTH["incidents"]}

    release, database = times["deploy"], times["db_slow"]

    assert database["start"] < release["start"] < release["end"] < database["end"]


def test_noise_is_two_informational_one_staging_and_two_in_the_maintenance_window() -> None:
    noise = [alert for alert in STORM if TRUTH["labels"][alert["id"]].startswith("noise:")]
    window = TOPOLOGY["maintenance"][0]

    inside = [a for a in STORM if a["host"] == window["host"] and window["start"] <= a["ts"] < window["end"]]

    assert [a["severity"] for a in noise].count("info") == [a["severity"] for a in STORM].count("info") == 2
    assert [a["env"] for a in noise].count("staging") == len([a for a in STORM if a["env"] != "prod"]) == 1
    assert len(inside) == 2
    assert all(alert in noise for alert in inside)


def test_tickets_about_the_storm_come_after_their_cause_began() -> None:
    began = {incident["id"]: incident["start"] for incident in TRUTH["incidents"]}
    written = {ticket["external_id"]: seconds(ticket["created_at"]) for ticket in TICKETS}

    waits = [written[row["external_id"]] - began[row["traits"][-1].partition(":")[2]] for row in with_trait("storm")]

    assert len(waits) == 3
    assert all(60 < wait < 1_800 for wait in waits)


def test_tickets_and_alerts_end_at_the_same_moment() -> None:
    assert seconds(TICKETS[-1]["created_at"]) == STORM[-1]["arr"]


@pytest.mark.skipif(not BENCH_STORM.exists(), reason="no bench here: set OPSPILOT_BENCH to its folder")
def test_the_storm_is_not_the_benchs() -> None:
    bench = lines(BENCH_STORM)

    assert not {alert["alertname"] for alert in STORM} & {alert["alertname"] for alert in bench}
    assert not {plain(a["service"]) for a in STORM if a["service"]} & {a["service"] for a in bench}
    assert not {alert["host"] for alert in STORM if alert["host"]} & {alert["host"] for alert in bench}


@pytest.mark.skipif(not BENCH_TICKETS.exists(), reason="no bench here: set OPSPILOT_BENCH to its folder")
def test_no_ticket_resembles_one_of_the_benchs() -> None:
    ours = list(words(ticket["body"] for ticket in TICKETS))
    theirs = list(words(row["body"] for row in lines(BENCH_TICKETS)))

    closest = max(len(a & b) / len(a | b) for a in ours for b in theirs)

    assert closest < 0.35


# Runbooks, macros, policy


@pytest.mark.parametrize("name", sorted(RUNBOOKS))
def test_a_runbook_has_its_front_matter_numbered_steps_and_four_parts(name: str) -> None:
    front, body = RUNBOOKS[name]

    assert set(front) == {"title", "slug", "services", "alerts", "kinds", "severity"}
    assert front["slug"] == name
    assert set(front["services"]) <= set(TOPOLOGY["services"])
    assert re.findall(r"^## (.+)$", body, re.M) == ["Steps", "How to verify", "When to escalate", "Rollback"]
    assert len(re.findall(r"^\d+\. ", body, re.M)) >= 5


@pytest.mark.parametrize("incident", TRUTH["incidents"], ids=lambda incident: str(incident["id"]))
def test_each_cause_finds_exactly_one_runbook_by_its_alert_names(incident: Record) -> None:
    names = {alert["alertname"] for alert in alerts_of(incident["id"])}

    found = [front for front, _ in RUNBOOKS.values() if any(fnmatchcase(n, g) for n in names for g in front["alerts"])]

    assert [front["kinds"] for front in found] == [[incident["kind"]]]
    assert not found[0]["services"] or incident["root"] in found[0]["services"]


@pytest.mark.parametrize("name", sorted(MACROS))
def test_a_macro_uses_only_the_placeholders_that_are_filled(name: str) -> None:
    front, body = MACROS[name]

    placeholders = {field for _, field, _, _ in string.Formatter().parse(body) if field is not None}

    assert set(front) == {"slug", "title", "categories", "priorities", "languages"}
    assert front["slug"] == name
    assert placeholders == {"name", "subject", "ticket", "first_response"}


def test_english_macros_cover_every_category_at_every_priority_once() -> None:
    covered = Counter(
        (category, priority)
        for front, _ in MACROS.values()
        for category in front["categories"]
        for priority in front["priorities"]
        if "en" in front["languages"]
    )

    assert covered == {(category, priority): 1 for category in CATEGORIES for priority in PRIORITIES}


def test_german_french_and_spanish_are_acknowledged_in_every_category_and_priority() -> None:
    foreign = {front["languages"][0]: front for front, _ in MACROS.values() if front["languages"] != ["en"]}

    assert set(foreign) == {"de", "fr", "es"}
    assert all(set(front["categories"]) == CATEGORIES for front in foreign.values())
    assert all(set(front["priorities"]) == PRIORITIES for front in foreign.values())


def test_the_default_policy_gives_every_category_an_owner_and_every_priority_its_targets() -> None:
    policy = tomllib.loads((DATA / "policy.toml").read_text(encoding="utf-8"))

    targets = {p: (t["first_response_minutes"], t["resolution_minutes"]) for p, t in policy["sla"].items()}

    assert set(policy) == {"desk", "sla", "routing", "gate", "engine", "channels", "limits"}
    assert set(policy["desk"]["categories"]) == set(policy["routing"]["owners"]) == CATEGORIES
    assert set(policy["routing"]["tiers"]) == PRIORITIES
    assert targets == {"P1": (60, 240), "P2": (240, 1440), "P3": (1440, 4320), "P4": (4320, 10080)}
    assert policy["channels"] == {"replies": "file", "oncall": "file"}
