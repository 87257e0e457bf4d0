import re
from typing import Any

import pytest
from sqlalchemy import Connection

from opspilot_mcp import proposals
from opspilot_mcp.clock import HOUR_MS
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.insights import summary
from tests.conftest import NOON
from tests.insights.rows import WEEK, alert, call, incident, proposal, ticket


def _a_busy_week(conn: Connection) -> None:
    due: dict[str, Any] = {
        "first_response_due_ms": NOON - HOUR_MS,
        "resolution_due_ms": NOON + HOUR_MS,
        "triaged_ms": NOON,
    }
    for age in range(12):
        ticket(conn, age_ms=age, tags=("login",), category="account", priority="P3", **due)
    ticket(conn, priority="P1", status="human_review", queue_key=1, next_due_ms=NOON - 1, **due)
    ticket(conn, age_ms=WEEK + 1, category="billing", priority="P2", responded_ms=NOON - WEEK, **due)
    for _ in range(40):
        alert(conn)
    incident(conn)
    incident(conn, state="resolved")
    call(conn, cost_usd=0.02, latency_ms=812.0)
    proposal(conn, age_ms=2 * HOUR_MS)


def _loose_numbers(page: summary.Summary) -> list[str]:
    text = re.sub(r"`[^`]*`|\b(?:T|INC|PR)-\d+|\bP[1-4]\b", "", page.markdown)
    for figure in sorted(page.figures, key=lambda found: -len(found.number)):
        text = re.sub(rf"(?<![\d.]){re.escape(figure.number)}(?![\d])", "", text, count=1)
    return re.findall(r"\d+", text)


def test_every_number_on_the_page_is_a_recorded_figure(conn: Connection) -> None:
    _a_busy_week(conn)

    page = summary.markdown(conn, NOON)

    assert _loose_numbers(page) == []
    assert all(figure.label and figure.query for figure in page.figures)


def test_the_page_says_what_the_rows_say(conn: Connection) -> None:
    _a_busy_week(conn)

    page = summary.markdown(conn, NOON).markdown

    assert "# Support and operations, 2026-02-23 to 2026-03-02" in page
    assert "13 tickets came in, 12 more than the 1 of the period before." in page
    assert "P1: 1 ticket came in: T-13." in page
    assert "Past the next deadline now: 1: T-13." in page
    assert "First response: met for 0 of 13 (0.0 %), 0 still running; in the period before: 100.0 %." in page
    assert "First responses missed: P1 1, P3 12." in page
    assert "Tag `login`: 12 tickets, up from 0: T-1, T-2, T-3, T-4, T-5, T-6, T-7, T-8, T-9, T-10 and 2 more." in page
    assert "Alerts received: 40. Incidents opened: 2: INC-2, INC-1." in page
    assert "Noise reduction: 95.0 %." in page
    assert "Calls: 1, $0.0200 in all, $0.02000 a ticket." in page
    assert "In human review: 1 ticket: T-13." in page
    assert "Messages that wait for a signature: 1, the oldest for 2 h 00 min: PR-1." in page
    assert "The gate is not running" in page


def test_the_page_opens_with_the_sentences_its_numbers_call_for(conn: Connection) -> None:
    _a_busy_week(conn)

    top = summary.markdown(conn, NOON).markdown.split("\n")[2]

    assert top == (
        "13 tickets came in, 12 more than the 1 of the period before. First responses in time: 0.0 %. "
        "1 ticket is past the next deadline now. Most often came `login`: 12 tickets. "
        "40 alerts came down to 2 incidents. Messages that wait for a signature: 1."
    )


def test_what_was_resolved_in_the_period_is_counted(conn: Connection) -> None:
    for resolved_ms in (NOON - WEEK, NOON - WEEK + 1, NOON, NOON + 1):
        ticket(conn, age_ms=2 * WEEK, status="resolved", resolved_ms=resolved_ms)
    ticket(conn, resolved_ms=NOON)

    assert "Resolved: 2 tickets." in summary.markdown(conn, NOON).markdown


def test_a_change_is_given_in_per_cent_from_ten_tickets_on(conn: Connection) -> None:
    for _ in range(10):
        ticket(conn, age_ms=WEEK + HOUR_MS)
    ticket(conn)

    assert "1 ticket came in, 9 fewer (90.0 %) than the 10" in summary.markdown(conn, NOON).markdown


def test_figures_carry_the_ids_behind_them(conn: Connection) -> None:
    _a_busy_week(conn)

    found = {figure.label: figure for figure in summary.markdown(conn, NOON).figures}

    assert found["P1 created"].ids == ("T-13",)
    assert found["incidents open"].ids == ("INC-1",)
    assert found["Messages that wait for a signature"].ids == ("PR-1",)


def test_an_empty_desk_gets_a_page_without_divisions_by_nothing(conn: Connection) -> None:
    page = summary.markdown(conn, NOON)

    assert _loose_numbers(page) == []
    for sentence in (
        "0 tickets came in, as many as in the period before (0).",
        "No P1 came in and none is open.",
        "First response: nothing decided yet, 0 still running.",
        "No tag or category came up on 2 tickets or more.",
        "No alert came in and no incident is open.",
        "No reading or draft was made.",
        "Nothing waits for a person.",
    ):
        assert sentence in page.markdown


def test_strangers_words_and_markdown_in_a_tag_do_not_act(conn: Connection) -> None:
    for _ in range(2):
        ticket(conn, subject="PAY NOW", body="SECRET", tags=("`](http://x.example) <img>\n# boo",), category="a`b")

    page = summary.markdown(conn, NOON).markdown

    assert "PAY NOW" not in page
    assert "SECRET" not in page
    assert "Tag `http://x.example img boo`: 2 tickets" in page
    assert "Category `ab`: 2 tickets" in page


def test_a_running_gate_is_not_called_stopped(conn: Connection) -> None:
    proposal(conn)
    proposals.beat(conn, now=NOON, killed=False)

    assert "gate is not running" not in summary.markdown(conn, NOON).markdown


def test_held_and_uncertain_messages_wait_for_a_person_and_decided_ones_do_not(conn: Connection) -> None:
    proposal(conn, asked="hold")
    proposal(conn, outcome="uncertain")
    for outcome in ("sent", "rejected", "withdrawn", "approved"):
        proposal(conn, outcome=outcome)
    proposal(conn, asked="withdraw")

    page = summary.markdown(conn, NOON).markdown

    assert "Messages on hold: 1, the oldest for 1 h 00 min: PR-1." in page
    assert "Messages that may or may not have left: 1, the oldest for 1 h 00 min: PR-2." in page
    assert "wait for a signature" not in page


def test_a_message_whose_signature_ran_out_waits_for_another(conn: Connection) -> None:
    proposal(conn, outcome="expired")

    page = summary.markdown(conn, NOON).markdown

    assert "Messages that wait for a signature: 1, the oldest for 1 h 00 min: PR-1." in page


def test_days_that_make_no_sense_are_refused(conn: Connection) -> None:
    with pytest.raises(InvalidInput):
        summary.markdown(conn, NOON, days=0)
