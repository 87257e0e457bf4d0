"""A link between a ticket and an incident is somebody's word: kept, carried along by merges, and a person's before an
agent's."""

from itertools import pairwise

import pytest
from sqlalchemy import Connection

from opspilot_mcp.aiops import byhand, incidents, timeline
from opspilot_mcp.desk import moves
from opspilot_mcp.errors import IllegalMove, NotAllowed, NotFound
from opspilot_mcp.insights import impact
from opspilot_mcp.policy import Policy
from opspilot_mcp.store import audit, merges
from opspilot_mcp.store.schema import incidents as incident_rows
from tests.aiops.storms import alert, estate, fault, fold
from tests.builders import stored_ticket
from tests.conftest import MINUTE, NOON

ANA, BOT = "person:ana", "agent:bot"


@pytest.fixture(autouse=True)
def _incidents(conn: Connection) -> None:
    """INC-1 at cart-db and cart, INC-2 at the mailer."""
    estate(conn)
    fold(conn, [fault(1), alert(2, at=20), alert(3, at=30, service="mailer", alertname="QueueFull", summary="queue")])


def ticket(conn: Connection, body: str = "My cart is empty.") -> str:
    at = NOON + MINUTE
    return stored_ticket(conn, subject="Help", body=body, now=at, created_ms=at).id


def suggested(conn: Connection, incident: str = "INC-1") -> list[str]:
    return [one.ticket for one in impact.tickets_of(conn, incident).suggestions]


def linked(conn: Connection, incident: str = "INC-1") -> list[tuple[str, str]]:
    return [(one.ticket, one.by) for one in impact.links_of_incident(conn, incident)]


def test_a_confirmed_link_is_read_from_both_ends_and_no_longer_suggested(conn: Connection) -> None:
    name = ticket(conn)

    changed = impact.confirm(conn, "INC-1", name, by=ANA, now=NOON)

    assert changed
    assert linked(conn) == [(name, ANA)]
    assert [one.incident for one in impact.links_of_ticket(conn, name)] == ["INC-1"]
    assert impact.incidents_of(conn, name).suggestions == []
    assert suggested(conn) == []


def test_confirming_twice_changes_nothing(conn: Connection) -> None:
    name = ticket(conn)
    impact.confirm(conn, "INC-1", name, by=ANA, now=NOON)

    assert impact.confirm(conn, "INC-1", name, by="person:bob", now=NOON + 1) is False
    assert linked(conn) == [(name, ANA)]


def test_a_rejected_suggestion_does_not_come_back(conn: Connection) -> None:
    name = ticket(conn)

    changed = impact.reject(conn, "INC-1", name, by=ANA, now=NOON)

    assert changed
    assert (suggested(conn), linked(conn), impact.incidents_of(conn, name).suggestions) == ([], [], [])
    assert impact.reject(conn, "INC-1", name, by=ANA, now=NOON) is False


def test_a_link_taken_back_may_be_suggested_again(conn: Connection) -> None:
    name = ticket(conn)
    impact.confirm(conn, "INC-1", name, by=ANA, now=NOON)

    assert impact.unlink(conn, "INC-1", name, by=ANA, now=NOON)
    assert suggested(conn) == [name]
    assert impact.unlink(conn, "INC-1", name, by=ANA, now=NOON) is False


def test_an_agents_link_is_the_agents_until_a_person_confirms_it(conn: Connection) -> None:
    name = ticket(conn)
    impact.confirm(conn, "INC-1", name, by=BOT, now=NOON)
    (before,) = impact.links_of_incident(conn, "INC-1")

    changed = impact.confirm(conn, "INC-1", name, by=ANA, now=NOON)

    (after,) = impact.links_of_incident(conn, "INC-1")
    assert (before.is_confirmed, changed, after.is_confirmed) == (False, True, True)
    assert impact.confirm(conn, "INC-1", name, by=BOT, now=NOON) is False
    assert linked(conn) == [(name, ANA)]


def test_an_agent_cannot_go_against_a_persons_word(conn: Connection) -> None:
    turned_down, confirmed = ticket(conn), ticket(conn, "The cart again.")
    impact.reject(conn, "INC-1", turned_down, by=ANA, now=NOON)
    impact.confirm(conn, "INC-1", confirmed, by=ANA, now=NOON)

    with pytest.raises(IllegalMove, match="A person said"):
        impact.confirm(conn, "INC-1", turned_down, by=BOT, now=NOON)
    with pytest.raises(NotAllowed, match="A person linked"):
        impact.unlink(conn, "INC-1", confirmed, by=BOT, now=NOON)
    with pytest.raises(NotAllowed):
        impact.reject(conn, "INC-1", confirmed, by=BOT, now=NOON)
    assert linked(conn) == [(confirmed, ANA)]


def test_an_agent_takes_its_own_link_back(conn: Connection) -> None:
    name = ticket(conn)
    impact.confirm(conn, "INC-1", name, by=BOT, now=NOON)

    assert impact.unlink(conn, "INC-1", name, by=BOT, now=NOON)
    assert linked(conn) == []


def test_every_word_stands_in_the_audit_of_both_and_in_the_timeline(conn: Connection) -> None:
    name = ticket(conn)
    impact.confirm(conn, "INC-1", name, by=ANA, now=NOON)
    impact.reject(conn, "INC-1", name, by=ANA, now=NOON)

    said = [entry for entry in audit.of_subject(conn, "INC-1") if entry.action.startswith("incident.ticket")]
    told = timeline.events(conn, incidents.get(conn, "INC-1"), [])
    assert [(entry.action, entry.actor, entry.detail) for entry in said] == [
        ("incident.ticket_linked", ANA, {"ticket": name}),
        ("incident.ticket_link_rejected", ANA, {"ticket": name}),
    ]
    assert [entry.action for entry in audit.of_subject(conn, name)][-1] == "ticket.incident_link_rejected"
    assert (told[-1].what, told[-1].text) == ("incident.ticket_link_rejected", name)


def test_a_merge_of_incidents_carries_links_and_refusals_along(conn: Connection) -> None:
    kept, refused = ticket(conn, "Mailer queue."), ticket(conn, "The mailer queue and the cart.")
    impact.confirm(conn, "INC-2", kept, by=ANA, now=NOON)
    impact.reject(conn, "INC-2", refused, by=ANA, now=NOON)

    byhand.merge(conn, "INC-2", "INC-1", actor=ANA, now=NOON)

    assert linked(conn) == [(kept, ANA)]
    assert [one.incident for one in impact.links_of_ticket(conn, kept)] == ["INC-1"]
    assert refused not in suggested(conn)
    assert impact.confirm(conn, "INC-2", refused, by=ANA, now=NOON + 1)
    assert linked(conn) == [(kept, ANA), (refused, ANA)]


def test_where_merged_incidents_disagree_the_link_holds_until_it_is_taken_back(conn: Connection) -> None:
    name = ticket(conn)
    impact.reject(conn, "INC-1", name, by=ANA, now=NOON)
    impact.confirm(conn, "INC-2", name, by=ANA, now=NOON)
    byhand.merge(conn, "INC-2", "INC-1", actor=ANA, now=NOON)

    assert linked(conn) == [(name, ANA)]
    assert impact.reject(conn, "INC-1", name, by=ANA, now=NOON)
    assert linked(conn) == []


def test_a_split_leaves_the_link_where_the_person_put_it(conn: Connection) -> None:
    name = ticket(conn)
    impact.confirm(conn, "INC-1", name, by=ANA, now=NOON)

    new = byhand.split(conn, "INC-1", ["cart"], actor=ANA, now=NOON)

    assert linked(conn) == [(name, ANA)]
    assert linked(conn, new.id) == []
    assert name in suggested(conn, new.id)


def test_a_merged_ticket_hands_its_link_to_the_one_that_stands_for_it(conn: Connection) -> None:
    twin, kept = ticket(conn), ticket(conn, "Something else.")
    impact.confirm(conn, "INC-1", twin, by=ANA, now=NOON)

    moves.merge(conn, twin, kept, expected_version=None, actor=ANA, policy=Policy(), now=NOON)

    assert linked(conn) == [(kept, ANA)]
    assert [one.incident for one in impact.links_of_ticket(conn, kept)] == ["INC-1"]
    assert impact.confirm(conn, "INC-1", twin, by="person:bob", now=NOON) is False


@pytest.mark.parametrize(("incident", "name"), [("INC-9", "T-1"), ("INC-1", "T-9")])
def test_unknown_ends_are_not_linked(conn: Connection, incident: str, name: str) -> None:
    ticket(conn)

    with pytest.raises(NotFound):
        impact.confirm(conn, incident, name, by=ANA, now=NOON)


def test_merges_that_run_in_a_ring_end(conn: Connection) -> None:
    conn.execute(incident_rows.update().values(merged_into=3 - incident_rows.c.id))

    assert merges.family(conn, incident_rows, 1) == {1, 2}
    assert merges.ends(conn, incident_rows, [1, 2]) == {1: 2, 2: 1}


def test_a_long_chain_of_merges_is_followed_from_every_link(conn: Connection) -> None:
    names = [int(ticket(conn).removeprefix("T-")) for _ in range(5)]
    for lost, kept in pairwise(names):
        moves.merge(conn, f"T-{lost}", f"T-{kept}", expected_version=None, actor=ANA, policy=Policy(), now=NOON)

    found = merges.ends(conn, incident_rows.metadata.tables["tickets"], names)

    assert set(found.values()) == {names[-1]}
