"""Plain prose is no link, and a link over two lines is one."""

from opspilot_mcp.gate import links


def test_the_end_of_a_sentence_at_the_end_of_a_line_is_no_link() -> None:
    text = "A person will read it.\n\nIf you can, tell us.\nKind regards"

    assert links.find(text) == []


def test_a_link_with_a_scheme_that_is_broken_over_lines_is_found() -> None:
    found = links.find("see https://evil.exa\nmple/path now")

    assert "evil.example" in {link.host for link in found}
