"""Runbooks are read from Markdown, matched with a reason, and ticked off."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Connection

from opspilot_mcp.aiops import incidents, runbooks
from opspilot_mcp.aiops.runbooks import Facts, Runbook
from opspilot_mcp.errors import BadSetting, InvalidInput, NotFound
from opspilot_mcp.store import audit
from tests.aiops.storms import alert, estate, fault, fold
from tests.conftest import NOON

DATA = Path(__file__).parents[2] / "data" / "runbooks"
TEXT = """---
title: The disk is full
services: [cart-db]
alerts: ["Disk*"]
kinds: [disk]
---

Intro.

## Steps

1. Look:

   ```sh
   1. this is output, not a step
   df -h
   ```

2. Delete old logs.
   - only those of `app`
10. Watch.

## Rollback

1. Nothing to undo.
"""


def book(slug: str = "disk", **over: object) -> Runbook:
    return runbooks.parse(TEXT, slug=slug).model_copy(update=over)


def facts(**over: object) -> Facts:
    fields = {"services": {"cart-db"}, "alertnames": {"DiskFull"}, "kinds": set(), "root": None, **over}
    return Facts(**{name: frozenset(v) if isinstance(v, set) else v for name, v in fields.items()})  # type: ignore[arg-type]


def best(wanted: Facts, *books: Runbook) -> str | None:
    found = runbooks.match(wanted, books)
    return found[0].slug if found else None


# -- reading -----------------------------------------------------------------------------------------------------------


def test_steps_are_the_numbered_items_of_the_section_with_what_is_under_them() -> None:
    steps = book().steps

    assert [step.splitlines()[0] for step in steps] == ["Look:", "Delete old logs.", "Watch."]
    assert "df -h" in steps[0]
    assert "only those" in steps[1]


def test_without_a_steps_heading_all_numbered_items_are_steps() -> None:
    assert runbooks.steps_of("Text\n\n1. one\n2) two\n\nMore text\n3. three") == ("one", "two", "three")


def test_numbers_inside_a_fence_are_no_steps() -> None:
    assert runbooks.steps_of("1. one\n\n```\n2. output\n# Steps\n```\n\n2. two") == ("one", "two")


def test_the_shipped_runbooks_load_with_their_steps() -> None:
    books = runbooks.load(DATA)

    assert [one.slug for one in books] == ["bad-release", "database-locks", "expired-certificate", "node-down"]
    assert [len(one.steps) for one in books] == [7, 5, 6, 7]


def test_no_folder_is_no_runbooks(tmp_path: Path) -> None:
    assert runbooks.load(tmp_path / "none") == []


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "disk.md"
    file.write_text(TEXT)
    before = runbooks.load(tmp_path)[0].title
    file.write_text(TEXT.replace("The disk", "Each disk"))
    os.utime(file, ns=(1, 1))

    assert (before, runbooks.load(tmp_path)[0].title) == ("The disk is full", "Each disk is full")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("no front matter", "front matter"),
        ("---\ntitle: [\n---\n", "YAML"),
        ("---\nservices: []\n---\n", "title"),
        ("---\ntitle: x\nowner: me\n---\n", "owner"),
        ("---\n- a\n---\n", "front matter"),
        ("---\ntitle: x\nslug: ../../etc/passwd\n---\n", "slug"),
        ("---\ntitle: x\nslug: Upper\n---\n", "slug"),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "bad.md").write_text(text)

    with pytest.raises(BadSetting, match=says) as caught:
        runbooks.load(tmp_path)
    assert str(caught.value).startswith("bad.md")


def test_two_runbooks_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text(TEXT.replace("title:", "slug: disk\ntitle:"))
    (tmp_path / "disk.md").write_text(TEXT)

    with pytest.raises(BadSetting, match="disk"):
        runbooks.load(tmp_path)


def test_in_a_storm_a_bad_file_costs_itself_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "bad.md").write_text("no front matter")
    (tmp_path / "disk.md").write_text(TEXT)
    (tmp_path / "one.md").write_text(TEXT.replace("title:", "slug: disk\ntitle:"))

    books = runbooks.readable(tmp_path)

    assert [book.slug for book in books] == ["disk"]
    assert [record.getMessage().split(": ")[1].split()[0] for record in caplog.records] == ["bad.md", "one.md"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "secret.md"
    outside.write_text(TEXT)
    folder = tmp_path / "runbooks"
    folder.mkdir()
    (folder / "disk.md").symlink_to(outside)

    assert runbooks.load(folder) == []


@pytest.mark.parametrize("slug", ["../secret", "/etc/passwd", "disk.md", "disk\x00", "", "DISK"])
def test_a_slug_finds_only_what_was_loaded(slug: str) -> None:
    with pytest.raises(NotFound):
        runbooks.find([book()], slug)


# -- matching ----------------------------------------------------------------------------------------------------------


def test_a_runbook_fits_by_alert_name_at_its_service() -> None:
    found = runbooks.match(facts(), [book()])

    assert found is not None
    assert found[1] == ("alert", "service")


@pytest.mark.parametrize(
    "wanted",
    [
        facts(services={"mailer"}),  # another service
        facts(alertnames={"HighLatency"}),  # another alert
        facts(alertnames={"diskfull"}),  # another case
        facts(alertnames=set()),  # a service alone says where, not what
    ],
)
def test_a_runbook_does_not_fit(wanted: Facts) -> None:
    assert best(wanted, book()) is None


def test_an_empty_list_of_services_means_any() -> None:
    assert best(facts(services={"mailer"}), book(services=())) == "disk"


def test_a_kind_fits_without_an_alert_name() -> None:
    assert best(facts(alertnames=set(), kinds={"disk"}), book()) == "disk"


def test_the_more_particular_runbook_wins() -> None:
    assert best(facts(), book("any", services=()), book("here")) == "here"


def test_the_runbook_of_the_leading_root_wins() -> None:
    wanted = facts(services={"cart", "cart-db"}, root="cart-db")

    assert best(wanted, book("at-cart", services=("cart",)), book("at-db", services=("cart-db",))) == "at-db"


def test_between_equals_the_first_name_wins() -> None:
    assert best(facts(), book("b"), book("a")) == "a"


# -- on an incident ----------------------------------------------------------------------------------------------------


def test_an_incident_gets_its_runbook_while_it_is_folded(conn: Connection) -> None:
    estate(conn)

    fold(conn, [alert(1), fault(2, at=10)], books=[book()])

    assert incidents.get(conn, "INC-1").runbook == "disk"


def test_a_step_is_ticked_once_and_told_in_the_audit(conn: Connection) -> None:
    estate(conn)
    fold(conn, [fault(1)], books=[book()])

    first = runbooks.tick(conn, 1, book(), 2, actor="agent:a", now=NOON)
    again = runbooks.tick(conn, 1, book(), 2, actor="agent:b", now=NOON + 5)

    assert (first, again) == (True, False)
    assert [(done.step, done.by) for done in runbooks.ticked(conn, 1)] == [(2, "agent:a")]
    assert audit.of_subject(conn, "INC-1")[-1].detail == {"runbook": "disk", "step": 2}


@pytest.mark.parametrize("step", [-1, 0, 4])
def test_a_step_the_runbook_lacks_is_refused(conn: Connection, step: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 3"):
        runbooks.tick(conn, 1, book(), step, actor="agent:a", now=NOON)


@pytest.mark.parametrize(("begun", "kept"), [(False, "better"), (True, "disk")])
def test_a_better_runbook_replaces_one_on_which_no_work_has_begun(conn: Connection, begun: bool, kept: str) -> None:
    estate(conn)
    fold(conn, [fault(1)], books=[book()])
    if begun:
        runbooks.tick(conn, 1, book(), 1, actor="agent:a", now=NOON)

    fold(conn, [alert(2, at=10)], books=[book(services=()), book("better")])

    assert incidents.get(conn, "INC-1").runbook == kept
