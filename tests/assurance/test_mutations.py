"""Each deliberate break of the gate turns a test red; see mutations.py."""

import pytest

from tests import breaks
from tests.assurance import mutations
from tests.gate import mutations as more


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_break_of_the_gate_is_noticed() -> None:
    tried = breaks.run(mutations.BREAKS, mutations.arguments)

    assert [(one.name, said) for one, was_red, said in tried if not was_red] == []


def test_every_break_still_finds_its_place() -> None:
    assert breaks.lost([*mutations.BREAKS, *more.BREAKS]) == []
