"""Each deliberate break of the gate turns a test red; see mutations.py."""

import pytest

from tests.assurance import mutations


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_break_of_the_gate_is_noticed() -> None:
    unnoticed = [(one.name, said) for one, was_red, said in mutations.run() if not was_red]

    assert unnoticed == []


def test_every_break_still_finds_its_place() -> None:
    package = mutations.REPO / "opspilot_mcp"

    lost = [one.name for one in mutations.BREAKS if (package / one.file).read_text().count(one.old) != 1]

    assert lost == []
