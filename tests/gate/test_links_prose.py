"""Plain prose is no link, and a link over two lines is one."""

from opspilot_mcp.gate import links, risks
from opspilot_mcp.gate.policy import GatePolicy
from tests.gate.test_assurance_e import SAFE


def test_the_end_of_a_sentence_at_the_end_of_a_line_is_no_link() -> None:
    text = "A person will read it.\n\nIf you can, tell us.\nKind regards"

    assert links.find(text) == []


def test_a_link_with_a_scheme_that_is_broken_over_lines_is_found() -> None:
    found = links.find("see https://evil.exa\nmple/path now")

    assert "evil.example" in {link.host for link in found}


def test_many_links_of_our_own_do_not_hide_the_one_behind_them() -> None:
    policy = GatePolicy.model_validate({"risk": {"own_hosts": ["help.example.org"]}})
    own = " ".join(f"https://help.example.org/{number}" for number in range(links.MAX_LINKS + 1))

    found = risks.flags("Re", f"{own} https://evil.example/", SAFE, policy)

    assert risks.tier(found) == "high"
