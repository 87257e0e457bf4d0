"""A page about a ticket is proposed to a channel of this desk, and to no other."""

import pytest
from sqlalchemy import Connection, func, select

from opspilot_mcp.desk import paging
from opspilot_mcp.errors import InvalidInput
from opspilot_mcp.policy import Policy
from opspilot_mcp.store.schema import proposals
from tests.builders import stored_ticket
from tests.conftest import NOON


def test_a_page_about_a_ticket_goes_to_a_known_alias_only(conn: Connection) -> None:
    ticket = stored_ticket(conn)

    with pytest.raises(InvalidInput, match="oncall, replies"):
        paging.propose(
            conn, ticket, None, channel="https://evil.example", actor="agent:test", policy=Policy(), now=NOON
        )

    assert conn.execute(select(func.count()).select_from(proposals)).scalar_one() == 0
