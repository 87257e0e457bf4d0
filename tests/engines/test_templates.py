from pathlib import Path

import pytest

from opspilot_mcp import packaged
from opspilot_mcp.engines import Brief, Letter, Priority, templates
from opspilot_mcp.engines.templates import Macro
from opspilot_mcp.errors import BadSetting

LETTER = Letter(
    ticket="T-7", subject="Login fails", body="We can not log in, please help.", requester_name="Ada Lovelace"
)
BRIEF = Brief(category="account", priority="P3", first_response_minutes=1440)


def _macro(slug: str, *categories: str, body: str = "Hi {name}, {subject} {ticket} {first_response}") -> Macro:
    return Macro(slug=slug, title=slug, categories=categories, body=body)


def _filled(body: str, **changes: str) -> str:
    return templates.fill([_macro("any", body=body)], LETTER.model_copy(update=changes), BRIEF).body


# -- choosing ----------------------------------------------------------------------------------------------------------


def test_the_macro_that_fits_most_narrowly_is_taken() -> None:
    macros = [
        _macro("any"),
        _macro("wide", "account", "billing"),
        _macro("narrow", "account"),
        _macro("not", "billing"),
    ]

    assert templates.fill(macros, LETTER, BRIEF).engine == "macro:narrow"


def test_a_macro_for_other_priorities_is_not_taken() -> None:
    outage = _macro("outage").model_copy(update={"priorities": ("P1",)})

    assert templates.fill([outage], LETTER, BRIEF).engine == "macro:receipt-en"
    assert templates.fill([outage], LETTER, BRIEF.model_copy(update={"priority": "P1"})).engine == "macro:outage"


@pytest.mark.parametrize(
    ("body", "language"),
    [
        ("We are not able to log in with the app, please help.", "en"),
        ("Wir haben seit heute keine Verbindung und können nicht arbeiten, bitte helfen.", "de"),
        ("Nous ne pouvons pas nous connecter depuis ce matin, merci de votre aide.", "fr"),
        ("No podemos entrar desde esta mañana y los pedidos no se guardan, gracias.", "es"),
    ],
)
def test_the_letter_is_answered_in_its_language(body: str, language: str) -> None:
    letter = LETTER.model_copy(update={"subject": "", "body": body})

    draft = templates.fill([], letter, BRIEF)

    assert (draft.language, draft.engine) == (language, f"macro:receipt-{language}")


@pytest.mark.parametrize("body", ["", "Nie mogę się zalogować od rana", "asdf", "🙂" * 50])
def test_an_unknown_language_is_answered_in_english(body: str) -> None:
    assert templates.fill([], LETTER.model_copy(update={"subject": "", "body": body}), BRIEF).language == "en"


@pytest.mark.parametrize("priority", ["P1", "P2", "P3", "P4"])
@pytest.mark.parametrize("category", ["billing", "technical", "account", "feature_request", "other", "vpn", None])
def test_the_packaged_macros_leave_no_ticket_without_a_draft(category: str | None, priority: Priority) -> None:
    macros = templates.load(packaged.data_folder() / "macros")

    draft = templates.fill(macros, LETTER, Brief(category=category, priority=priority, first_response_minutes=60))

    assert "T-7" in draft.body
    assert "1 hour" in draft.body
    assert "{" not in draft.body


# -- filling in --------------------------------------------------------------------------------------------------------


def test_every_place_is_filled_once() -> None:
    assert _filled("{name}|{subject}|{ticket}|{first_response}") == "Ada Lovelace|Login fails|T-7|24 hours"


def test_what_a_stranger_wrote_is_not_filled_in_again() -> None:
    said = _filled("{name}: {subject}", requester_name="{ticket}", subject="{0.__class__} {first_response} %s {name}")

    assert said == "ticket: 0.__class__ first_response %s name"


@pytest.mark.parametrize(
    "subject",
    [
        "Pay at https://evil.example/x",
        "see www.evil.example",
        "see evil.example/pay",
        "write to eve@evil.example",
        "![x](//evil.example/p.png)",
        "javascript:alert(1)",
        "EVIL.EXAMPLE",
    ],
)
def test_a_subject_that_works_as_a_link_is_not_repeated(subject: str) -> None:
    assert _filled('about "{subject}"', subject=subject) == 'about "T-7"'


def test_a_subject_is_one_clean_line_of_bounded_length() -> None:
    said = _filled("{subject}", subject="a\u202e\n\n<b>b</b> " + "long " * 100)

    assert said.startswith("a bb/b long")
    assert len(said) <= 121
    assert said.endswith("…")


@pytest.mark.parametrize("name", ["", "   ", "eve@evil.example", "http://x.example"])
def test_a_greeting_without_a_usable_name_stands_alone(name: str) -> None:
    assert _filled("Hello {name},", requester_name=name) == "Hello,"
    assert _filled("Hola, {name}:", requester_name=name) == "Hola:"


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [(1, "1 minute"), (90, "90 minutes"), (60, "1 hour"), (240, "4 hours"), (1440, "24 hours"), (4320, "3 days")],
)
def test_a_span_is_said_in_the_largest_unit_that_divides_it(minutes: int, shown: str) -> None:
    assert templates.span(minutes) == shown


def test_a_span_is_said_in_the_letters_language() -> None:
    assert [templates.span(60, name) for name in ("de", "fr", "es")] == ["1 Stunde", "1 heure", "1 hora"]


# -- reading macro files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no front matter", "has no front matter"),
        ("---\n: [\n---\nbody", "not YAML"),
        ("---\n- a\n---\nbody", "holds no keys"),
        ("---\nslug: a\ntitle: A\n---\nHello {nmae}", "unknown placeholder {nmae}"),
        ("---\nslug: a\ntitle: A\npriorities: [P9]\n---\nHello", "'priorities.0'"),
        ("---\nslug: a\ntitle: A\ncolour: red\n---\nHello", "'colour'"),
        ("---\nslug: A b\ntitle: A\n---\nHello", "'slug'"),
        ("---\nslug: a\ntitle: A\n---\n", "'body'"),
    ],
)
def test_a_wrong_macro_is_refused_with_its_file_and_reason(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.md").write_text(text)

    with pytest.raises(BadSetting) as refused:
        templates.load(tmp_path)

    assert str(refused.value).startswith("bad.md")
    assert says in str(refused.value)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(BadSetting, match="cannot be read as UTF-8"):
        templates.load(tmp_path)


def test_two_macros_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("---\nslug: same\ntitle: A\n---\nHello")

    with pytest.raises(BadSetting, match="Two macros are called same"):
        templates.load(tmp_path)


def test_no_folder_means_no_macros(tmp_path: Path) -> None:
    assert templates.load(tmp_path / "none") == ()
