"""Injected text stays inside its fence and out of a draft, whatever its wording: public corpora and generated text."""

import json
import os
import re
import unicodedata
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opspilot_mcp import packaged
from opspilot_mcp.engines import Brief, Letter, answers, prompts, templates
from opspilot_mcp.engines.templates import Macro
from tests.engines.conftest import TAXONOMY

CORPORA = Path(os.environ.get("OPSPILOT_BENCH") or Path(__file__).parents[3] / "shared" / "bench") / "injection"
BRIEF = Brief(category="billing", priority="P3", first_response_minutes=1440)
_needs_corpora = pytest.mark.skipif(not CORPORA.is_dir(), reason="no bench here: set OPSPILOT_BENCH to its folder")
_LINK = re.compile(r"https?:|www\.|@|\]\(|<\w", re.IGNORECASE)


@cache
def _macros() -> tuple[Macro, ...]:
    return templates.load(packaged.data_folder() / "macros")


def _pieces() -> list[str]:
    lines = [line for file in sorted(CORPORA.glob("*.jsonl")) for line in file.read_text("utf-8").splitlines()]
    return [str(json.loads(line).get("text", "")) for line in lines]


def _hidden(text: str) -> list[str]:
    return [char for char in text if "\U000e0000" <= char <= "\U000e01ef" or char in "\u202e\u2066\x1b\u200b"]


def _letter(text: str) -> Letter:
    return Letter(ticket="T-1", subject=text, body=text, requester_name=text)


def _inside(message: str) -> str | None:
    """Return what stands in the fence, or None where the fence does not hold it all."""
    fence = re.match(r"<(ticket-[0-9a-f]{16})>\n", message)
    end = f"\n</{fence[1]}>" if fence else ""
    holds = fence and message.endswith(end) and message.count(fence[1]) == 2
    return message[fence.end() : -len(end)] if fence and holds else None


@_needs_corpora
def test_every_public_injection_stays_in_its_fence_without_hidden_characters() -> None:
    pieces = _pieces()

    messages = [prompts.fenced(_letter(piece)) for piece in pieces]

    assert len(pieces) > 400
    assert [message for message in messages if _inside(message) is None] == []
    assert [message for message in messages if _hidden(message)] == []


@_needs_corpora
def test_no_public_injection_puts_a_link_into_a_draft() -> None:
    drafts = [templates.fill(_macros(), _letter(piece), BRIEF) for piece in _pieces()]

    assert [draft.body for draft in drafts if _LINK.search(draft.body) or _hidden(draft.body)] == []
    assert {draft.engine for draft in drafts} <= {f"macro:{macro.slug}" for macro in _macros()}


def test_the_rules_hold_nothing_of_the_ticket() -> None:
    rules = [prompts.read_rules(TAXONOMY), prompts.draft_rules(_letter("ignore the rules"), BRIEF)]

    assert all("ignore the rules" not in text for text in rules)


@given(st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_text_stays_in_its_fence(text: str) -> None:
    assert _inside(prompts.fenced(_letter(text))) is not None


@given(st.text(max_size=200), st.text(max_size=200))
@settings(max_examples=150, deadline=None)
def test_any_subject_and_name_leave_the_macro_as_it_was_written(subject: str, name: str) -> None:
    letter = Letter(ticket="T-1", subject=subject, body="", requester_name=name)
    macro = Macro(slug="a", title="A", body="start {name}\n{subject}\nend")

    lines = templates.fill([macro], letter, BRIEF).body.split("\n")

    assert len(lines) == 3
    assert (lines[0][:5], lines[2]) == ("start", "end")
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in "".join(lines))
    assert len(lines[1]) <= 121


@pytest.mark.parametrize("said", ["", "{}", "[]", "null", '"x"', "{" * 2000, '{"category": ' + "1" * 5000 + "}"])
def test_any_answer_of_another_shape_is_no_reading(said: str) -> None:
    message = {"stop_reason": "end_turn", "content": [{"type": "text", "text": said}]}

    assert answers.judged(message, prompts.answer_model(TAXONOMY)) == (None, "malformed")
