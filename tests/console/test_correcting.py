"""A person sets a ticket right in the console: labels, priority, tags, the draft, links. Nothing else of it moves."""

from typing import Any

import pytest
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import DatabaseError
from starlette.applications import Starlette

from opspilot_mcp.console.door import Door
from opspilot_mcp.desk import flow, learning, similar, tickets
from opspilot_mcp.desk.tickets import Ticket
from opspilot_mcp.errors import OpsPilotError
from opspilot_mcp.policy import Policy
from opspilot_mcp.proposals import NewProposal, propose, recent
from opspilot_mcp.store import audit
from opspilot_mcp.store.schema import drafts, requesters, reviews, triages
from opspilot_mcp.store.schema import tickets as ticket_rows
from tests.builders import stored_ticket
from tests.console.conftest import Browser
from tests.gate.conftest import NOON, PASSPHRASE, House

POLICY = Policy()
CALENDAR = """\
[calendars.office]
zone = "Europe/Berlin"
hours = { mon = ["08:00-17:00"], fri = ["08:00-17:00"] }
[sla]
""" + "".join(
    f"{name} = {{ first_response_minutes = 60, resolution_minutes = 480, calendar = 'office' }}\n"
    for name in ("P1", "P2", "P3", "P4")
)


def triaged(conn: Connection, /, *, decision: str, **over: Any) -> Ticket:
    """Store a ticket, triage it, and let the decision be this one."""
    made = stored_ticket(conn, **over)
    flow.apply_all(conn, flow.read_all(conn, [made.id], policy=POLICY), policy=POLICY, actor="agent:test", now=NOON)
    conn.execute(
        update(triages)
        .where(triages.c.ticket_id == made.number)
        .values(decision=decision, forced=False, category="technical")
    )
    conn.execute(update(ticket_rows).where(ticket_rows.c.id == made.number).values(category="technical"))
    return tickets.get(conn, made.id)


@pytest.fixture
async def blind(house: House) -> Ticket:
    return await house.desk.write(triaged, decision="human")


@pytest.fixture
async def routed(house: House) -> Ticket:
    return await house.desk.write(triaged, decision="auto")


async def now_at(house: House, ticket: Ticket) -> Ticket:
    return await house.desk.read(tickets.get, ticket.id)


def _labels(conn: Connection) -> list[tuple[int, str, str]]:
    rows = conn.execute(select(reviews.c.ticket_id, reviews.c.category, reviews.c.by))
    return [(row.ticket_id, row.category, row.by) for row in rows]


# -- labels ------------------------------------------------------------------------------------------------------------


async def test_a_label_is_learnt_once_under_the_persons_name(ana: Browser, house: House, routed: Ticket) -> None:
    await ana.get(f"/tickets/{routed.id}")

    await ana.press(f"/tickets/{routed.id}/label", category="billing")

    changed = await now_at(house, routed)
    done = [entry for entry in await house.desk.read(audit.of_subject, routed.id) if entry.action == "ticket.reviewed"]
    assert await house.desk.read(_labels) == [(routed.number, "billing", "person:ana")]
    assert changed.category == "billing"
    assert [(entry.actor, entry.detail["category"]) for entry in done] == [("person:ana", "billing")]
    assert (await house.desk.read(learning.load, POLICY)).head.seen == 1
    assert "T-1 is billing. Triage had said technical." in ana.words


async def test_right_as_it_is_is_one_press_and_a_label(ana: Browser, house: House, routed: Ticket) -> None:
    await ana.get(f"/tickets/{routed.id}")
    shown = ana.page

    await ana.press(f"/tickets/{routed.id}/label", category="technical")

    assert 'value="technical" data-key="y">Right as it is' in shown
    assert await house.desk.read(_labels) == [(routed.number, "technical", "person:ana")]
    assert "Triage had said so too." in ana.words


async def test_a_second_word_files_the_ticket_and_is_no_second_label(
    ana: Browser, house: House, routed: Ticket
) -> None:
    for category in ("billing", "account"):
        await ana.get(f"/tickets/{routed.id}")
        await ana.press(f"/tickets/{routed.id}/label", category=category)

    assert await house.desk.read(_labels) == [(routed.number, "billing", "person:ana")]
    assert (await now_at(house, routed)).category == "account"
    assert (await house.desk.read(learning.load, POLICY)).head.seen == 1


async def test_a_suggestion_is_nowhere_until_the_person_has_spoken(ana: Browser, house: House, blind: Ticket) -> None:
    message_id = await house.reply(blind.number)
    for path in ("/tickets", f"/tickets/{blind.id}", "/review", f"/messages/{message_id}"):
        await ana.get(path)
        words = ana.words.replace("4 technical", "")  # the button one may press
        assert "· technical" not in words, path
        assert "triage says" not in words, path
        assert "Confidence" not in words, path

    await ana.get("/review")
    await ana.press(f"/review/{blind.id}", category="billing")

    assert "T-1 is billing. Triage had said technical." in ana.words


async def test_the_review_page_counts_down_to_the_certificate(ana: Browser, house: House, blind: Ticket) -> None:
    await ana.get("/review")
    before = ana.words
    await ana.press(f"/review/{blind.id}", category="billing")

    assert "0 of 70 reviews until a certificate" in before
    assert "1 of 70 reviews until a certificate" in ana.words
    assert "Nothing waits for a review." in ana.words


async def test_a_skipped_ticket_makes_room_for_the_next(ana: Browser, house: House, blind: Ticket) -> None:
    other = await house.desk.write(triaged, decision="audit", external_id="2")

    await ana.get(f"/review?after={blind.number}")

    assert f'action="/review/{other.id}"' in ana.page
    assert (await ana.get("/review?after=T-1")).status_code == 404


async def test_a_review_may_name_another_priority(ana: Browser, house: House, blind: Ticket) -> None:
    await ana.get("/review")

    await ana.press(f"/review/{blind.id}", category="billing", priority="P1")

    assert (await now_at(house, blind)).priority == "P1"


async def test_a_category_the_desk_lacks_is_refused(ana: Browser, house: House, routed: Ticket) -> None:
    await ana.get(f"/tickets/{routed.id}")

    answer = await ana.press(f"/tickets/{routed.id}/label", category="<script>")

    assert answer.status_code == 409
    assert "is not a category" in ana.words
    assert "<script>" not in ana.page
    assert await house.desk.read(_labels) == []


# -- the rest ----------------------------------------------------------------------------------------------------------


async def test_priority_sentiment_and_tags_are_set_and_audited(ana: Browser, house: House, routed: Ticket) -> None:
    await ana.get(f"/tickets/{routed.id}")

    await ana.press(f"/tickets/{routed.id}/correct", priority="P1", sentiment="urgent", tags="Payroll run, export")

    changed = await now_at(house, routed)
    actors = {entry.actor for entry in await house.desk.read(audit.of_subject, routed.id)}
    assert (changed.priority, changed.sentiment, changed.tags) == ("P1", "urgent", ("export", "payroll_run"))
    assert changed.first_response_due_ms == routed.created_ms + 3_600_000
    assert "person:ana" in actors
    assert (changed.subject, changed.body, changed.requester_id) == (routed.subject, routed.body, routed.requester_id)


async def test_a_ticket_that_waited_keeps_its_pause_when_a_person_answers_it(
    ana: Browser, house: House, routed: Ticket
) -> None:
    (house.root / "policy.toml").write_text(CALENDAR)
    await house.change_ticket(routed.number, status="pending", paused_ms=NOON - 3_600_000, pauses="[[0, 60000]]")
    await ana.get(f"/tickets/{routed.id}")

    await ana.press(f"/tickets/{routed.id}/draft", body="We found the fault.", then="propose")

    changed = await now_at(house, routed)
    assert (changed.status, changed.paused_ms) == ("in_review", None)
    assert changed.pauses[0] == (0, 60_000)
    assert changed.pauses[1][0] == NOON - 3_600_000


async def test_a_ticket_says_in_which_hours_its_time_is_counted(ana: Browser, house: House, routed: Ticket) -> None:
    await ana.get(f"/tickets/{routed.id}")
    before = ana.words

    (house.root / "policy.toml").write_text(CALENDAR)
    await ana.get(f"/tickets/{routed.id}")

    assert "around the clock" in before
    assert "office hours, Europe/Berlin" in ana.words


@pytest.mark.parametrize("name", ["label", "correct", "draft"])
async def test_a_change_meanwhile_stores_nothing_and_loses_no_word(
    ana: Browser, house: House, routed: Ticket, name: str
) -> None:
    await ana.get(f"/tickets/{routed.id}")
    form = ana.form(f"/tickets/{routed.id}/{name}")
    await house.change_ticket(routed.number, version=routed.version + 1, priority="P1")
    typed = {"category": "billing", "priority": "P2", "sentiment": "negative", "tags": "mine", "body": "My words."}
    fields = {"label": ("category",), "correct": ("priority", "sentiment", "tags"), "draft": ("body",)}[name]

    answer = await ana.post(
        f"/tickets/{routed.id}/{name}", {**form, **{one: typed[one] for one in fields}, "then": "propose"}
    )
    ana.page = answer.text

    assert answer.status_code == 409
    assert "T-1 was changed meanwhile" in ana.words
    assert f'name="version" value="{routed.version + 1}"' in ana.page
    assert (await now_at(house, routed)).category == "technical"
    assert await house.desk.read(recent, waiting=False) == []
    assert "mine" in ana.page if name == "correct" else True
    assert "My words." in ana.words if name == "draft" else True


async def test_a_ticket_that_repeats_another_names_it(ana: Browser, house: House, routed: Ticket) -> None:
    twin = await house.desk.write(stored_ticket, external_id="twin")
    hint = similar.Hint(routed.id, 0.97, ("E-1042",), is_same_requester=True)
    await house.desk.write(similar.keep, twin, hint, now=NOON)

    await ana.get(f"/tickets/{twin.id}")

    assert "Possible duplicate of T-1 : 97 % the same words, both name E-1042 ; the same requester." in ana.words


# -- the draft ---------------------------------------------------------------------------------------------------------


def _drafts(conn: Connection) -> list[tuple[str, str]]:
    return [(row.body, row.engine) for row in conn.execute(select(drafts).order_by(drafts.c.id))]


async def test_a_draft_is_saved_under_the_persons_name_and_goes_nowhere(
    ana: Browser, house: House, routed: Ticket
) -> None:
    await ana.get(f"/tickets/{routed.id}")

    await ana.press(f"/tickets/{routed.id}/draft", body="Dear Dana,\r\nit works.", then="save")

    assert await house.desk.read(_drafts) == [("Dear Dana,\nit works.", "person:ana")]
    assert await house.desk.read(recent, waiting=False) == []
    assert "Dear Dana,\nit works." in ana.page


async def test_another_draft_meanwhile_is_shown_beside_what_was_typed(
    ana: Browser, house: House, routed: Ticket
) -> None:
    await ana.get(f"/tickets/{routed.id}")
    form = ana.form(f"/tickets/{routed.id}/draft")
    await ana.post(f"/tickets/{routed.id}/draft", {**form, "body": "An agent's.", "then": "save"})
    await ana.get("/tickets/T-1")
    stale = {**ana.form(f"/tickets/{routed.id}/draft"), "mark": form["mark"]}

    answer = await ana.post(f"/tickets/{routed.id}/draft", {**stale, "body": "Mine.", "then": "save"})

    assert answer.status_code == 409
    assert "An agent&#39;s." in answer.text
    assert "Mine.</textarea>" in answer.text
    assert [body for body, _ in await house.desk.read(_drafts)] == ["An agent's."]


async def test_a_persons_proposal_waits_and_is_signed_under_the_solo_rules(
    ana: Browser, house: House, routed: Ticket
) -> None:
    await ana.get(f"/tickets/{routed.id}")
    await ana.press(f"/tickets/{routed.id}/draft", body="It works again.", then="propose")
    page = ana.words
    before = await house.state("PR-1")

    await ana.press("/messages/PR-1/approve", recipient="dana@example.com", passphrase=PASSPHRASE)

    assert "by person:ana" in page
    assert before == "pending"
    assert "Type the recipient and your passphrase" in page
    assert await house.state("PR-1") == "approved"


async def test_proposing_is_no_change_a_person_is_warned_of(ana: Browser, house: House) -> None:
    fresh = await house.desk.write(stored_ticket, now=NOON)
    await ana.get(f"/tickets/{fresh.id}")

    await ana.press(f"/tickets/{fresh.id}/draft", body="It works again.", then="propose")

    assert (await now_at(house, fresh)).status == "in_review"
    assert "has changed since this was written" not in ana.words


async def test_with_two_approvers_who_proposed_may_not_sign(ana: Browser, house: House, routed: Ticket) -> None:
    await house.add_approver("bob")
    await ana.get(f"/tickets/{routed.id}")

    await ana.press(f"/tickets/{routed.id}/draft", body="It works again.", then="propose")

    assert "You proposed this message, so another approver must sign it." in ana.words
    assert "/messages/PR-1/approve" not in ana.page


def _page_about(conn: Connection, ticket: Ticket) -> None:
    new = NewProposal(
        kind="page", subject=ticket.id, subject_version=1, requester_id=None, channel="oncall", title="P1", body="Look."
    )
    propose(conn, new, principal="clock", now=NOON, per_hour=100)


async def test_a_page_to_the_people_on_call_answers_nobody(ana: Browser, house: House, routed: Ticket) -> None:
    await house.desk.write(_page_about, routed)
    await ana.get(f"/tickets/{routed.id}")
    words = ana.words

    await ana.press(f"/tickets/{routed.id}/draft", body="We look into it.", then="propose")

    assert "answers this ticket already" not in words
    assert [one.kind for one in await house.desk.read(recent, waiting=False)] == ["reply", "page"]


async def test_a_draft_that_was_sent_is_not_offered_again(ana: Browser, house: House, routed: Ticket) -> None:
    await ana.get(f"/tickets/{routed.id}")
    await ana.press(f"/tickets/{routed.id}/draft", body="It works again.", then="propose")
    await house.approve("PR-1")
    await house.tick()

    await ana.get(f"/tickets/{routed.id}")

    assert await house.state("PR-1") == "sent"
    assert "It works again." not in ana.page.split("<textarea")[1]
    assert "Another answer" in ana.words


async def test_a_message_that_waits_is_edited_where_it_waits(ana: Browser, house: House, routed: Ticket) -> None:
    message_id = await house.reply(routed.number)
    await ana.get(f"/tickets/{routed.id}")
    page = ana.page

    answer = await ana.press(f"/tickets/{routed.id}/draft", body="A second answer.", then="propose")

    assert "Save and propose it" not in page
    assert "answers this ticket already: waits for a signature." in page
    assert f'href="/messages/{message_id}#decide"' in page
    assert answer.status_code == 409
    assert [one.id for one in await house.desk.read(recent, waiting=False)] == [message_id]


# -- what this door may write ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE tickets SET requester_id = 2",
        "UPDATE tickets SET requester_verified = 1",
        "UPDATE tickets SET body = 'x'",
        "UPDATE triages SET score = 1",
        "UPDATE proposals SET body = 'x'",
        "UPDATE audit SET actor = 'x'",
        "UPDATE requesters SET address = 'x@evil.example'",
        "DELETE FROM audit",
        "DELETE FROM tickets",
        "INSERT INTO requesters (address, name, created_ms) VALUES ('a', 'b', 1)",
        "DROP TABLE tickets",
        "ATTACH DATABASE ':memory:' AS other",
        "PRAGMA writable_schema = ON",
        "SELECT * FROM ticket_search WHERE ticket_search MATCH 'x'",
    ],
)
async def test_nothing_else_of_the_desk_can_be_written_from_here(app: Starlette, house: House, statement: str) -> None:
    await house.ticket()
    door: Door = app.state.door

    with pytest.raises((OpsPilotError, DatabaseError)):
        await door.change(lambda conn: conn.exec_driver_sql(statement))

    assert await house.desk.read(lambda conn: conn.execute(select(requesters.c.address)).scalars().all()) == [
        "mira@example.org"
    ]


async def test_a_trigger_in_the_desks_file_does_not_run_for_the_console(
    ana: Browser, house: House, routed: Ticket
) -> None:
    await house.desk.write(
        lambda conn: (
            conn.exec_driver_sql(
                "CREATE TRIGGER steal AFTER INSERT ON reviews BEGIN UPDATE tickets SET body = 'stolen'; END"
            )
            and None
        )
    )
    await ana.get(f"/tickets/{routed.id}")

    answer = await ana.press(f"/tickets/{routed.id}/label", category="billing")

    assert answer.status_code == 409
    assert (await now_at(house, routed)).body == routed.body
    assert await house.desk.read(_labels) == []


async def test_a_policy_that_is_no_plain_file_is_said(ana: Browser, house: House, routed: Ticket) -> None:
    (house.root / "policy.toml").mkdir()

    await ana.get(f"/tickets/{routed.id}")

    assert "policy.toml is not a small plain file" in ana.words
    assert (await ana.get("/review")).status_code == 503
