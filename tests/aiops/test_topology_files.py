"""A topology file is read in one way, whoever asks: its size, its encoding and what it may unfold to are bounded."""

import codecs
from pathlib import Path

import pytest

from opspilot_mcp.aiops import topology_files
from opspilot_mcp.errors import InvalidInput


@pytest.mark.parametrize("name", ["t.yaml", "t.YML"])
def test_a_yaml_topology_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("services: [web, api]\ncalls:\n  - [web, api]\n")

    assert topology_files.read(tmp_path / name) == {"services": ["web", "api"], "calls": [["web", "api"]]}


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_bytes(codecs.BOM_UTF8 + b'{"services": ["web"]}')

    assert topology_files.read(tmp_path / "t.json") == {"services": ["web"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [("t.json", b"{"), ("t.json", b"\xff"), ("t.yaml", b"a: [1"), ("t.json", b"[" * 200_000), ("gone", None)],
)
def test_a_topology_that_cannot_be_read_is_refused(tmp_path: Path, name: str, text: bytes | None) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text)

    with pytest.raises(InvalidInput, match="topology"):
        topology_files.read(tmp_path / name)


def test_a_yaml_topology_that_unfolds_itself_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.yaml"
    bomb.write_text("a: &a [x, x]\nb: &b [*a, *a]\nservices: [*b, *b]\n")

    with pytest.raises(InvalidInput, match="not YAML"):
        topology_files.read(bomb)


def test_a_topology_is_read_up_to_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topology_files, "MAX_BYTES", 20)
    (tmp_path / "fits.json").write_bytes(b'{"services":["web"]}')
    (tmp_path / "over.json").write_bytes(b'{"services":["webs"]}')

    assert topology_files.read(tmp_path / "fits.json") == {"services": ["web"]}
    with pytest.raises(InvalidInput, match="over 20 bytes"):
        topology_files.read(tmp_path / "over.json")
