"""Every tool definition, held by a snapshot: what a model reads is as much an interface as the code.

After a wanted change: `UPDATE_SNAPSHOTS=1 pytest tests/test_tools.py`, then read the diff.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client

from opspilot_mcp import server
from opspilot_mcp.app import App
from opspilot_mcp.server import SPECS, specs_for
from opspilot_mcp.tools.protocol import Spec, tool_of
from tests.conftest import lend

SNAPSHOTS = Path(__file__).parent / "snapshots" / "tools"
TOTAL_TOKENS = 6000
TOOL_TOKENS = 400

NAMES = {
    "READ": {
        "list_open_tickets",
        "get_ticket",
        "search_tickets",
        "list_incidents",
        "get_incident",
        "get_runbook",
        "list_approvals",
        "request_approval",
        "desk_stats",
        "blocker_trends",
        "ai_usage",
        "executive_summary",
    },
    "INTERNAL": {
        "create_ticket",
        "update_ticket",
        "add_note",
        "merge_tickets",
        "triage_ticket",
        "escalate",
        "draft_reply",
        "ingest_alerts",
        "correlate_alerts",
        "update_incident",
        "withdraw_message",
    },
    "OUTBOUND": {"propose_reply", "post_escalation_alert"},
}


def wire(spec: Spec) -> dict[str, Any]:
    return tool_of(spec).to_mcp_tool().model_dump(by_alias=True, exclude_none=True, mode="json")


def tokens(definition: dict[str, Any]) -> float:
    return len(json.dumps(definition, separators=(",", ":"), ensure_ascii=False)) / 4


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.fn.__name__)
def test_a_definition_is_as_reviewed(spec: Spec) -> None:
    path = SNAPSHOTS / f"{spec.fn.__name__}.json"
    now = json.dumps(wire(spec), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(now)

    assert path.read_text() == now


def test_no_snapshot_is_left_of_a_tool_that_is_gone() -> None:
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == {spec.fn.__name__ for spec in SPECS}


@pytest.mark.parametrize("kind", sorted(NAMES))
def test_the_tools_of_each_class_are_those_of_the_plan(kind: str) -> None:
    assert {spec.fn.__name__ for spec in SPECS if spec.kind == kind} == NAMES[kind]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.fn.__name__)
def test_every_annotation_is_stated_and_fits_the_class(spec: Spec) -> None:
    definition = wire(spec)

    assert definition["annotations"] == {
        "readOnlyHint": spec.kind == "READ",
        "destructiveHint": False,
        "idempotentHint": spec.kind == "READ",
        "openWorldHint": spec.kind == "OUTBOUND",
    }
    assert definition["_meta"] == {"class": spec.kind}
    assert spec.kind != "OUTBOUND" or "a person must sign it" in definition["description"]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.fn.__name__)
def test_schemas_are_flat_and_without_titles(spec: Spec) -> None:
    definition = wire(spec)
    text = json.dumps(definition)

    assert not [word for word in ("$ref", "$defs", "anyOf", "allOf", '"title": "') if word in text]
    assert definition["inputSchema"]["additionalProperties"] is False
    assert all("properties" not in field for field in definition["inputSchema"]["properties"].values())


def test_the_whole_list_stays_within_its_budget() -> None:
    sizes = {spec.fn.__name__: tokens(wire(spec)) for spec in SPECS}

    assert max(sizes.values()) <= TOOL_TOKENS
    assert sum(sizes.values()) <= TOTAL_TOKENS
    assert len(sizes) <= 25


def test_no_tool_can_approve_or_send() -> None:
    powers = ("approve", "sign", "send", "release", "lift", "recipient", "to_address", "cc", "bcc", "from", "approver")

    named = {spec.fn.__name__: set(wire(spec)["inputSchema"]["properties"]) for spec in SPECS}

    assert not [name for name in named if name.startswith(("approve", "sign", "send", "release"))]
    assert not {name: fields & set(powers) for name, fields in named.items() if fields & set(powers)}


@pytest.mark.parametrize("profile", ["desk", "aiops", "all"])
def test_a_read_only_profile_holds_reading_tools_alone(profile: server.Profile) -> None:
    assert {spec.kind for spec in specs_for(profile, read_only=True)} == {"READ"}


async def test_what_a_profile_hides_is_refused(app: App) -> None:
    async with Client(server.build_server(lend(app), profile="desk", read_only=True)) as client:
        listed = {tool.name for tool in await client.list_tools()}
        hidden = await client.call_tool_mcp("correlate_alerts", {})
        written = await client.call_tool_mcp("create_ticket", {"subject": "x", "body": "y"})

    assert listed == {spec.fn.__name__ for spec in specs_for("desk", read_only=True)}
    assert hidden.is_error
    assert written.is_error


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_both_protocol_eras_list_the_same_tools(app: App, mode: Any) -> None:
    async with Client(server.build_server(lend(app)), mode=mode) as client:
        listed = [tool.name for tool in await client.list_tools()]

    assert listed == [spec.fn.__name__ for spec in SPECS]


async def test_an_answer_stands_once_in_text_and_once_in_structure_without_nulls(agent: Client[Any]) -> None:
    answer = await agent.call_tool_mcp("create_ticket", {"subject": "Printer", "body": "It is on fire."})

    assert json.loads(answer.content[0].text) == answer.structured_content  # type: ignore[union-attr]
    assert len(answer.content) == 1
    assert None not in (answer.structured_content or {"x": None}).values()


async def test_full_answers_keep_to_their_published_schema(agent: Client[Any]) -> None:
    """The client checks every answer against the output schema and raises where it does not fit."""
    await agent.call_tool(
        "create_ticket", {"subject": "SSO", "body": "Nobody can sign in.", "requester_email": "a@b.example"}
    )
    calls: list[tuple[str, dict[str, Any]]] = [
        ("triage_ticket", {}),
        ("get_ticket", {"ticket_id": "T-1", "full": True}),
        ("list_open_tickets", {}),
        ("search_tickets", {"text": "sign in"}),
        ("draft_reply", {"ticket_id": "T-1"}),
        ("propose_reply", {"ticket_id": "T-1"}),
        ("list_approvals", {"id": "PR-1"}),
        ("request_approval", {"proposal_id": "PR-1"}),
        ("escalate", {"id": "T-1", "reason": "needs a second look"}),
        ("desk_stats", {}),
        ("blocker_trends", {}),
        ("ai_usage", {}),
        ("executive_summary", {"figures": True}),
    ]

    answers = [await agent.call_tool(name, arguments) for name, arguments in calls]

    assert [answer.is_error for answer in answers] == [False] * len(calls)
