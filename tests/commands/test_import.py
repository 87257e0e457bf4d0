"""Files strangers made: the good rows are kept, each bad one is named by line and reason, and twice is once."""

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from opspilot_mcp.commands import rows

Run = Callable[..., int]


def jsonl(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def ticket(number: int, **over: object) -> dict[str, object]:
    return {
        "id": f"X-{number}",
        "subject": f"Subject {number}",
        "body": "It fails.",
        "email": "dana@example.com",
        **over,
    }


def stored(home: Path, columns: str = "external_id") -> list[Any]:
    with closing(sqlite3.connect(home / "desk.db")) as raw:
        found = raw.execute(f"SELECT {columns} FROM tickets ORDER BY id").fetchall()  # noqa: S608 - our own words
    return [row[0] if len(row) == 1 else row for row in found]


def rejected(file: Path) -> list[dict[str, Any]]:
    lines = file.with_name(f"{file.name}.rejected.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# -- rows --------------------------------------------------------------------------------------------------------------


def test_good_rows_are_kept_and_bad_ones_named_by_line_and_reason(run: Run, home: Path, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "in.jsonl", ticket(1), "{not json", [1, 2], ticket(4, email="a@b@c"), ticket(5))

    code = run("import", "tickets", file)

    assert (code, stored(home)) == (1, ["X-1", "X-5"])
    assert [one["line"] for one in rejected(file)] == [2, 3, 4]
    assert all(one["reason"].endswith(".") and one["raw"] for one in rejected(file))


def test_strict_takes_all_or_nothing(run: Run, home: Path, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "in.jsonl", *(ticket(n) for n in range(450)), "broken")

    code = run("import", "tickets", "--strict", file)

    assert (code, stored(home)) == (1, [])
    assert rejected(file)[0]["line"] == 451


def test_importing_twice_is_importing_once(
    run: Run, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = jsonl(tmp_path / "in.jsonl", ticket(1), ticket(2), ticket(2, subject="same id again"))

    codes = [run("import", "tickets", "--json", file) for _ in range(2)]

    assert (codes, stored(home)) == ([0, 0], ["X-1", "X-2"])
    second = json.loads(capsys.readouterr().out.split("}\n", 1)[1])
    assert (second["stored"], second["known"]) == (0, 3)


def test_an_import_that_broke_off_is_completed_by_repeating_it(run: Run, home: Path, tmp_path: Path) -> None:
    whole = "".join(json.dumps(ticket(n)) + "\n" for n in range(1000)).encode()
    file = tmp_path / "in.jsonl.gz"
    file.write_bytes(gzip.compress(whole)[:-2000])
    torn = run("import", "tickets", file)
    before = len(stored(home))
    file.write_bytes(gzip.compress(whole))

    again = run("import", "tickets", file)

    assert (torn, again) == (1, 0)
    assert 0 < before < 1000
    assert stored(home) == [f"X-{n}" for n in range(1000)]


def test_names_can_be_mapped_and_a_wrong_map_is_refused(
    run: Run, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "in.csv"
    file.write_text("Nr,Betreff,Text\n7,Drucker brennt,Seit heute\n")

    wrong = run("import", "tickets", file, "--map", "Betreff=sender")
    right = run("import", "tickets", file, "--map", "Nr=external_id", "--map", "Betreff=subject", "--map", "Text=body")

    assert (wrong, right) == (2, 0)
    assert "'sender', not a field" in capsys.readouterr().err
    assert stored(home, "external_id, subject, body") == [("7", "Drucker brennt", "Seit heute")]


@pytest.mark.parametrize(
    "created", ["yesterday", "9" * 400, 10**400, -1, 1e300, [1], {"a": 1}, True, "0001-01-01", "nan"]
)
def test_an_impossible_time_rejects_its_row_only(run: Run, home: Path, tmp_path: Path, created: object) -> None:
    file = jsonl(tmp_path / "in.jsonl", ticket(1, created_at=created), ticket(2))

    code = run("import", "tickets", file)

    assert (code, stored(home)) == (1, ["X-2"])


@pytest.mark.parametrize(
    "field",
    [{"subject": {"a": 1}}, {"body": [1]}, {"tags": 5}, {"tags": ["a"] * 3 + [4]}, {"email": 7}, {"id": "x" * 500}],
)
def test_a_field_of_the_wrong_type_rejects_its_row_only(
    run: Run, home: Path, tmp_path: Path, field: dict[str, object]
) -> None:
    file = jsonl(tmp_path / "in.jsonl", ticket(1, **field), ticket(2))

    code = run("import", "tickets", file)

    assert (code, stored(home)) == (1, ["X-2"])


def test_hidden_characters_and_formulas_arrive_as_plain_words(run: Run, home: Path, tmp_path: Path) -> None:
    evil = "=HYPERLINK(1)\x00\x1b[2J\u202e\U000e0041 end"
    file = jsonl(tmp_path / "in.jsonl", ticket(1, subject=evil, name="\x07Bo\nb", id="X\x00-1"))

    assert run("import", "tickets", file) == 0

    assert stored(home, "external_id, subject") == [("X-1", "=HYPERLINK(1) end")]


def test_a_row_without_an_external_id_of_its_own_takes_the_id(run: Run, home: Path, tmp_path: Path) -> None:
    file = jsonl(tmp_path / "in.jsonl", ticket(1, external_id=None), ticket(2, external_id="E-2"))

    codes = [run("import", "tickets", file) for _ in range(2)]

    assert (codes, stored(home)) == ([0, 0], ["X-1", "E-2"])


def test_imported_requesters_count_as_verified_and_agents_do_not_pose_as_import(
    run: Run, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = jsonl(tmp_path / "in.jsonl", ticket(1))

    codes = [run("import", "tickets", file, "--source", "agent"), run("import", "tickets", file)]

    assert (codes, stored(home, "source, requester_verified")) == ([2, 0], [("import", 1)])
    assert "source name" in capsys.readouterr().err


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.jsonl", b"", "is empty"),
        ("in.csv", b"", "is empty"),
        ("in.json", b"", "is empty"),
        ("in.jsonl", b"\n\n \n", "holds no rows"),
        ("in.json", b"[]", "holds no rows"),
        ("in.csv", b"subject,body\n", "holds no rows"),
        ("in.csv", b"\n\n", "must name its columns"),
        ("in.csv", "Betreff\xfc\na".encode("latin-1"), "not UTF-8"),
        ("in.csv", "subject,body\na,b\n".encode("utf-16"), "not UTF-8"),
        ("in.json", b"{", "is not JSON"),
        ("in.json", b"[" * 100_000, "is not JSON"),
        ("in.json", b"\xff\xfe\x00", "is not UTF-8"),
        ("in.jsonl.gz", gzip.compress(b"{}\n" * 5, mtime=0)[:-12], "damaged gzip"),
        ("in.jsonl.gz", b"\x1f\x8b\x08garbage garbage", "damaged gzip"),
        ("in.xlsx", b"PK\x03\x04", "no known format"),
        ("in", b"{}", "no known format"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)

    code = run("import", "tickets", tmp_path / name)

    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert told.startswith("opspilot-mcp: ")
    assert says in told


def test_a_missing_file_and_a_folder_are_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.jsonl").mkdir()

    codes = [run("import", "tickets", tmp_path / name) for name in ("none.jsonl", "folder.jsonl")]

    assert codes == [2, 2]
    assert capsys.readouterr().err.count("Check the path.") == 2


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv"])
def test_a_row_of_ten_megabytes_is_rejected_alone(run: Run, home: Path, tmp_path: Path, name: str) -> None:
    header = b"id,subject,body\n" if name == "in.csv" else b""
    good = b"X-2,ok,ok\n" if name == "in.csv" else json.dumps(ticket(2)).encode() + b"\n"
    (tmp_path / name).write_bytes(header + b"x" * 10_000_000 + b"\n" + good)

    code = run("import", "tickets", tmp_path / name)

    assert (code, stored(home)) == (1, ["X-2"])
    assert "MiB" in rejected(tmp_path / name)[0]["reason"]


def test_rows_in_another_encoding_are_rejected_and_the_others_kept(run: Run, home: Path, tmp_path: Path) -> None:
    latin = "X-1,Stra\xdfe,b\n".encode("latin-1")
    (tmp_path / "in.csv").write_bytes(b"\xef\xbb\xbfid,subject,body\n" + latin + "X-2,Straße,b\n".encode())

    code = run("import", "tickets", tmp_path / "in.csv")

    assert (code, stored(home, "external_id, subject")) == (1, [("X-2", "Straße")])
    assert rejected(tmp_path / "in.csv")[0]["line"] == 2


def test_a_csv_keeps_multi_line_cells_and_names_ragged_rows(run: Run, home: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id,subject,body\nX-1,s,"two\nlines"\nX-2,s\nX-3,s,b,extra\nX-4,s,b\n')

    code = run("import", "tickets", tmp_path / "in.csv")

    assert (code, stored(home, "external_id, body")) == (1, [("X-1", "two\nlines"), ("X-4", "b")])
    assert ["extra" in one["raw"] for one in rejected(tmp_path / "in.csv")] == [False, True]


@pytest.mark.parametrize("name", ["bomb.jsonl.gz", "bomb.csv.gz"])
def test_a_gzip_bomb_is_read_in_bounded_memory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.setattr(rows, "MAX_TOTAL_BYTES", 50_000_000)
    (tmp_path / name).write_bytes(gzip.compress(b"id,subject\n" + b"0" * 100_000_000, 1))

    code = run("import", "tickets", tmp_path / name)

    assert code == 2
    assert "Split it" in capsys.readouterr().err


def test_a_json_document_that_unpacks_too_far_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rows, "MAX_JSON_BYTES", 1_000_000)
    (tmp_path / "in.json.gz").write_bytes(gzip.compress(b"[" + b"{}," * 1_000_000 + b"{}]"))

    code = run("import", "tickets", tmp_path / "in.json.gz")

    assert code == 2
    assert "Convert it to JSON lines" in capsys.readouterr().err


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_csv_of_a_spreadsheet_is_read_with_its_separator_and_capital_names(
    run: Run, home: Path, tmp_path: Path, separator: str
) -> None:
    rows = [["Id", "Subject", "Body", "Email"], ["X-1", "Störung", '"Seit heute, 9 Uhr; nichts geht"', "a@example.com"]]
    (tmp_path / "in.csv").write_text("".join(separator.join(row) + "\n" for row in rows), encoding="utf-8-sig")

    code = run("import", "tickets", tmp_path / "in.csv")

    assert code == 0
    assert stored(home, "external_id, subject, body") == [("X-1", "Störung", "Seit heute, 9 Uhr; nichts geht")]


def test_columns_nobody_reads_are_named(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text("id,Betreff,text\n1,Hallo,Es geht nicht\n")
    (tmp_path / "none.csv").write_text("Betreff,Beschreibung\nHallo,Es geht nicht\n")

    codes = [run("import", "tickets", tmp_path / name) for name in ("in.csv", "none.csv")]

    said = capsys.readouterr().out
    assert codes == [0, 1]
    assert "Columns left out: 'Betreff'." in said
    assert "Its columns: 'Betreff', 'Beschreibung'. Name one with --map theirs=subject" in " ".join(said.split())


def test_a_reason_many_rows_share_is_told_once(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = jsonl(tmp_path / "in.jsonl", *([1, 2] for _ in range(30)))

    run("import", "tickets", file)

    said = capsys.readouterr().out
    assert said.count("not a JSON object") == 1
    assert "1, 2, 3 and 27 more" in said


def test_a_header_that_never_ends_is_refused(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text("a" * (5 << 20))

    code = run("import", "tickets", tmp_path / "in.csv")

    assert (code, "must name its columns" in capsys.readouterr().err) == (2, True)


# -- alerts and the topology -------------------------------------------------------------------------------------------


def test_alerts_of_any_shape_are_kept_or_named(run: Run, home: Path, tmp_path: Path) -> None:
    good = {"id": "a1", "alertname": "Down", "ts": 1_700_000_000, "labels": {"zone": "eu"}}
    bad: list[object] = [{**good, "id": f"b{n}", **odd} for n, odd in enumerate(ODD)]
    file = jsonl(tmp_path / "in.jsonl", good, *bad, {**good, "id": "a2"})

    code = run("import", "alerts", file)

    assert code == 1
    with closing(sqlite3.connect(home / "desk.db")) as raw:
        assert {"a1", "a2"} <= {row[0] for row in raw.execute("SELECT alert_id FROM alerts")}
    assert all("cannot be read (" not in one["reason"] for one in rejected(file))


def test_alerts_are_folded_while_they_are_stored_where_that_is_asked(
    run: Run, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Path(__file__).parents[2] / "data"

    run("import", "topology", data / "topology.json")
    code = run("import", "alerts", data / "storm.jsonl", "--correlate")

    with closing(sqlite3.connect(home / "desk.db")) as raw:
        waiting = raw.execute("SELECT count(*) FROM alerts WHERE correlated_ms IS NULL").fetchone()[0]
        told = [row[0] for row in raw.execute("SELECT DISTINCT action FROM audit WHERE subject = 'alerts'")]
    assert (code, waiting, sorted(told)) == (0, 0, ["alerts.correlated", "alerts.received"])
    assert "7 incidents" in capsys.readouterr().out


ODD: list[dict[str, object]] = [
    {"labels": ["a"]},
    {"labels": "text"},
    {"ts": 10**400},
    {"ts": {}},
    {"ts": "soon"},
    {"alertname": None},
    {"alertname": {}},
    {"status": [1]},
    {"severity": {"a": 1}},
    {"labels": {"k": {"deep": [1]}}},
]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"services": 5}', b'{"calls": [["a"]]}']
)
def test_a_broken_topology_is_refused_and_the_old_one_stays(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes
) -> None:
    (tmp_path / "good.json").write_text('{"services": ["web", "db"], "calls": [["web", "db"]]}')
    (tmp_path / "bad.json").write_bytes(content)

    codes = [run("import", "topology", tmp_path / name) for name in ("good.json", "bad.json", "good.json")]

    assert codes == [0, 2, 0]
    assert "was in force already" in capsys.readouterr().out


def test_yaml_that_unfolds_to_gigabytes_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12)]
    (tmp_path / "bomb.yaml").write_text("l0: &l0 [x]\n" + "\n".join(levels))

    assert run("import", "topology", tmp_path / "bomb.yaml") == 2

    assert "is not YAML without aliases" in capsys.readouterr().err


def test_a_format_nobody_knows_is_refused_before_a_row_is_read(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = jsonl(tmp_path / "in.jsonl", {"id": "a1", "alertname": "Down"})

    code = run("import", "alerts", file, "--format", "zork")

    assert (code, "There is no format 'zork'" in capsys.readouterr().err) == (2, True)
    assert not file.with_name("in.jsonl.rejected.jsonl").exists()


@pytest.mark.parametrize("body", [{"servicez": ["shop"]}, {}, {"services": []}, {"services": ["shop"], "host": {}}])
def test_a_topology_with_a_typing_error_does_not_empty_the_one_in_force(
    run: Run, home: Path, tmp_path: Path, body: dict[str, object]
) -> None:
    good = jsonl(tmp_path / "good.json", {"services": ["shop", "db"]})
    run("import", "topology", good)

    code = run("import", "topology", jsonl(tmp_path / "bad.json", body))

    with closing(sqlite3.connect(home / "desk.db")) as raw:
        kept = raw.execute("SELECT count(*) FROM topologies").fetchone()[0]
    assert (code, kept) == (2, 1)
