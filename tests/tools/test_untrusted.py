"""Attack texts and their benign look-alikes through every tool: strangers' words come out marked, clean, or not at all.

Nothing here depends on recognising an attack: the corpora are walked as data, and the rules hold for every row.
"""

import asyncio
import json
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastmcp import Client
from mcp.shared.exceptions import MCPError

from opspilot_mcp import settings
from opspilot_mcp.app import open_app
from opspilot_mcp.commands import importing
from opspilot_mcp.server import build_server
from tests.tools.fuzz import misplaced, strings

CORPORA = Path(os.environ.get("OPSPILOT_BENCH") or Path(__file__).parents[3] / "shared" / "bench") / "injection"
FILES = ("bipia_email_train.jsonl", "bastioncorpus_dev.jsonl", "garak_pieces.jsonl")
pytestmark = pytest.mark.skipif(not CORPORA.is_dir(), reason="no bench here: set OPSPILOT_BENCH to its folder")

MARK = "zqstrangerqz"
# C0 without tab and newline, DEL, C1, and the tag characters that carry hidden text.
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\U000e0000-\U000e01ef]")


@dataclass
class Walked:
    """Everything the tools answered while the corpora went through the desk."""

    home: Path
    rows: list[dict[str, Any]]
    every: int
    answers: list[tuple[str, Any]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    bodies: dict[str, str] = field(default_factory=dict)  # external id -> body as get_ticket shows it
    tools: list[str] = field(default_factory=list)  # tools/list before and after


def marked(text: str) -> str:
    return f"{text} {MARK}"


@pytest.fixture(scope="module", params=[6, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(600)])])
def walked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Walked:
    """Every row stored and triaged; every look-alike and every sixth attack (`-m long`: each) read and worked on."""
    rows = [json.loads(line) for name in FILES for line in (CORPORA / name).read_text().splitlines()]
    walk = Walked(tmp_path_factory.mktemp("injection") / "home", rows, every=request.param)
    asyncio.run(_walk(walk))
    return walk


async def _walk(walk: Walked) -> None:
    configured = settings.load({}, home=walk.home)
    await _import(walk, configured)
    async with Client(build_server(partial(open_app, configured, principal="agent:test"))) as agent:
        walk.tools.append(await _definitions(agent))
        await _tickets(walk, agent)
        await _alerts(walk, agent)
        await _numbers(walk, agent)
        walk.tools.append(await _definitions(agent))


async def _import(walk: Walked, configured: settings.Settings) -> None:
    lines = [
        {
            "id": row["id"],
            "subject": marked(row["text"][:80]),
            "body": row["text"] if row["kind"].startswith("benign") else marked(row["text"]),
            "email": f"customer-{row['id']}@example.test",
            "name": marked(row["text"][:40]),
            "tags": [marked(row["text"][:20])],
        }
        for row in walk.rows
    ]
    file = walk.home.with_name("rows.jsonl")
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    async with open_app(configured, principal="operator:test") as app:
        done = await importing.import_tickets(app, file, mapping={})
    assert (done.stored, done.rejected) == (len(walk.rows), [])


async def _definitions(agent: Client[Any]) -> str:
    return json.dumps([tool.model_dump(mode="json") for tool in await agent.list_tools()])


async def _call(walk: Walked, agent: Client[Any], tool: str, **arguments: Any) -> dict[str, Any]:
    result = await agent.call_tool_mcp(tool, arguments)
    if result.is_error:
        walk.errors.append(result.content[0].text)  # type: ignore[union-attr]
        return {}
    walk.answers.append((tool, result.structured_content))
    return result.structured_content or {}


async def _tickets(walk: Walked, agent: Client[Any]) -> None:
    for row in walk.rows[:: 3 * walk.every]:
        made = await _call(walk, agent, "create_ticket", subject=marked(row["text"][:80]), body=marked(row["text"]))
        await _call(walk, agent, "add_note", ticket_id=made["id"], body=marked(row["text"]))
        await _call(walk, agent, "search_tickets", text=row["text"][:2000])
        await _call(walk, agent, "draft_reply", ticket_id=made["id"], body=marked(row["text"]))
    while (await _call(walk, agent, "triage_ticket", limit=50))["triaged"]:
        pass
    cursor: str | None = None
    while page := await _call(walk, agent, "list_open_tickets", limit=100, **({"cursor": cursor} if cursor else {})):
        for line in page["tickets"]:
            number = int(line["id"].removeprefix("T-"))
            row = walk.rows[number - 1] if number <= len(walk.rows) else {"kind": "attack"}
            if number % walk.every and not row["kind"].startswith("benign"):
                continue
            seen = await _call(walk, agent, "get_ticket", ticket_id=line["id"], full=True)
            walk.bodies[seen.get("untrusted_external_id", "")] = seen["untrusted_body"]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    for number in range(1, len(walk.rows), 12):
        await _outbound(walk, agent, f"T-{number}", walk.rows[number - 1]["text"])


async def _outbound(walk: Walked, agent: Client[Any], ticket_id: str, text: str) -> None:
    """Do what an obedient agent would: write the text's own words, ask to send them, name it everywhere."""
    await _call(walk, agent, "draft_reply", ticket_id=ticket_id)
    made = await _call(walk, agent, "propose_reply", ticket_id=ticket_id, body=marked(text))
    await _call(walk, agent, "propose_reply", ticket_id=ticket_id, body=marked(text), to="thief@evil.example")
    await _call(walk, agent, "list_approvals", id=made.get("id", "PR-1"))
    await _call(walk, agent, "update_ticket", ticket_id=ticket_id, assignee=text[:80] or "x", category=text[:40])
    await _call(walk, agent, "escalate", id=ticket_id, reason=marked(text)[:1000])
    await _call(walk, agent, "get_ticket", ticket_id=text[:20])
    try:
        read = await agent.read_resource(f"ticket://{ticket_id}")
        walk.answers.append(("ticket://", json.loads(read[0].text)))  # type: ignore[union-attr]
        await agent.read_resource(f"runbook://{MARK}")
    except MCPError as refused:
        walk.errors.append(str(refused))


async def _alerts(walk: Walked, agent: Client[Any]) -> None:
    alerts = [
        {
            "id": f"{row['id']}-{MARK}",
            "alertname": marked(row["text"][:60]),
            "service": marked(row["text"][:30]),
            "summary": marked(row["text"]),
            "labels": {marked("k"): marked(row["text"])},
            "severity": marked(row["text"][:10]),
            "ts": 1_700_000_000 + at * 7200,  # far apart: each row opens an incident of its own
        }
        for at, row in enumerate(walk.rows)
    ]
    await _call(walk, agent, "ingest_alerts", alerts=[*alerts, {MARK: MARK}, {"alertname": MARK, "ts": MARK}])
    await _call(walk, agent, "correlate_alerts")
    found = await _call(walk, agent, "list_incidents", limit=100)
    for line in found["incidents"][: 48 // walk.every]:
        await _call(walk, agent, "get_incident", incident_id=line["id"])
        await _call(walk, agent, "update_incident", incident_id=line["id"], action="note", note=MARK)
        await _call(walk, agent, "get_runbook", incident_id=line["id"])
    await _call(walk, agent, "post_escalation_alert", id=found["incidents"][0]["id"], message=MARK)
    await _call(walk, agent, "get_incident", incident_id=found["incidents"][0]["id"], members=200)


async def _numbers(walk: Walked, agent: Client[Any]) -> None:
    await _call(walk, agent, "list_approvals", state="all", limit=100)
    for tool in ("desk_stats", "blocker_trends", "ai_usage"):
        await _call(walk, agent, tool)
    await _call(walk, agent, "executive_summary", figures=True)


# -- the rules ---------------------------------------------------------------------------------------------------------


def test_strangers_words_stand_in_untrusted_fields_only(walked: Walked) -> None:
    wrong = {f"{tool}{path}" for tool, answer in walked.answers for path in misplaced(answer, MARK)}

    assert wrong == set()
    assert len({tool for tool, _ in walked.answers}) >= 20


def test_no_answer_holds_a_hidden_or_control_character(walked: Walked) -> None:
    dirty = {tool for tool, answer in walked.answers for text in strings(answer) if FORBIDDEN.search(text)}

    assert dirty == set()
    assert not any(FORBIDDEN.search(error) for error in walked.errors)


def test_one_line_fields_stay_on_one_line(walked: Walked) -> None:
    broken = {tool for tool, answer in walked.answers for text in one_liners(answer) if "\n" in text or "\t" in text}

    assert broken == set()


def one_liners(answer: Any) -> Iterator[str]:
    if isinstance(answer, dict):
        for key, value in answer.items():
            if key in ("untrusted_subject", "untrusted_title", "untrusted_requester", "untrusted_alert", "assignee"):
                yield value
            yield from one_liners(value)
    elif isinstance(answer, list):
        for value in answer:
            yield from one_liners(value)


def test_benign_look_alikes_come_out_unchanged(walked: Walked) -> None:
    benign = {row["id"]: row["text"] for row in walked.rows if row["kind"].startswith("benign")}

    changed = [name for name, text in benign.items() if walked.bodies.get(name) != text.strip()]

    assert len(benign) >= 70
    assert changed == []


def test_no_refusal_repeats_a_stranger(walked: Walked) -> None:
    texts = [row["text"][:20] for row in walked.rows if len(row["text"]) > 20]

    assert walked.errors
    assert [error for error in walked.errors if MARK in error or any(text in error for text in texts)] == []
    assert not any("nternal error" in error for error in walked.errors)


def test_tool_definitions_do_not_change_with_data(walked: Walked) -> None:
    before, after = walked.tools

    assert before == after
    assert MARK not in after


def test_every_proposed_answer_goes_to_the_ticket_s_own_requester(walked: Walked) -> None:
    with closing(sqlite3.connect(walked.home / "desk.db")) as raw:
        replies = raw.execute(
            "SELECT p.subject, p.requester_id, t.requester_id, r.address, t.external_id FROM proposals p"
            " JOIN tickets t ON 'T-' || t.id = p.subject JOIN requesters r ON r.id = p.requester_id"
            " WHERE p.kind = 'reply'"
        ).fetchall()
        pages = raw.execute("SELECT requester_id, channel FROM proposals WHERE kind = 'page'").fetchall()

    assert len(replies) > 30
    assert all(
        asked == owner and address == f"customer-{name}@example.test" for _, asked, owner, address, name in replies
    )
    assert set(pages) == {(None, "oncall")}


def test_nothing_was_approved_or_sent(walked: Walked) -> None:
    with closing(sqlite3.connect(walked.home / "desk.db")) as raw:
        decided = raw.execute("SELECT count(*) FROM proposals WHERE outcome IS NOT NULL").fetchone()

    assert decided == (0,)
    assert not (walked.home / "gate").exists()
