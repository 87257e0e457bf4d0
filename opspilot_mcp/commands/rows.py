"""Reads strangers' files row by row: CSV, JSON, JSON lines, gzipped or not. A bad row is told, never fatal."""

import csv
import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from opspilot_mcp.errors import InvalidInput, quoted

MAX_ROW_BYTES = 4 * 1024 * 1024
MAX_JSON_BYTES = 64 * 1024 * 1024  # one document is decoded at once, and takes up to twenty times its size
MAX_TOTAL_BYTES = 4 * 1024 * 1024 * 1024
FORMATS = (".csv", ".json", ".jsonl", ".ndjson")
_QUOTED_NAME = re.compile('"[^"]*"')


class Row(NamedTuple):
    """One row of a file. `line` counts from 1; either `data` or `problem` is set. `at` is bytes read of the file."""

    line: int
    data: dict[str, Any] | None
    problem: str | None
    raw: str
    at: int


def read(path: Path) -> Iterator[Row]:
    """Yield the rows of a file. Raises InvalidInput when the file as a whole cannot be read.

    A packed file that is damaged further down gives the rows before the damage, then a bad one that says so.
    """
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder, not a file. Check the path.")
    kind = format_of(path)
    last: Row | None = None
    try:
        with path.open("rb") as file:
            if not file.peek(1):
                raise InvalidInput(f"{path.name} is empty. Give a file with at least one row.")
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file) if packed else file)
            for last in _READERS[kind](stream, file):
                yield last
    except (gzip.BadGzipFile, zlib.error, EOFError):
        if last is not None:
            yield Row(last.line + 1, None, "The packed file is damaged from here on. Pack it again.", "", last.at)
            return
        raise InvalidInput(f"{path.name} is a damaged gzip file. Pack it again and repeat the import.") from None
    except OSError as error:
        raise InvalidInput(f"Cannot read {path.name}: {error.strerror}. Check the path.") from None


def format_of(path: Path) -> str:
    """Return the format a file's name says: `.csv`, `.json` or `.jsonl`."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    kind = suffixes[-1] if suffixes else ""
    if kind not in FORMATS:
        raise InvalidInput(f"{path.name} has no known format. Name it .csv, .json or .jsonl, with .gz when packed.")
    return ".jsonl" if kind == ".ndjson" else kind


def _lines(stream: IO[bytes], file: IO[bytes]) -> Iterator[tuple[int, bytes | None, int]]:
    """Yield (line number, bytes or None when too long, bytes read of the file)."""
    number = total = 0
    while line := stream.readline(MAX_ROW_BYTES + 1):
        number += 1
        total += len(line)
        if total > MAX_TOTAL_BYTES:
            raise InvalidInput(f"The file unpacks to more than {MAX_TOTAL_BYTES // 2**30} GiB. Split it.")
        if len(line) <= MAX_ROW_BYTES:
            yield number, line, file.tell()
            continue
        while len(line) > MAX_ROW_BYTES and not line.endswith(b"\n") and total <= MAX_TOTAL_BYTES:
            line = stream.readline(MAX_ROW_BYTES + 1)
            total += len(line)
        yield number, None, file.tell()


def _read_jsonl(stream: IO[bytes], file: IO[bytes]) -> Iterator[Row]:
    for number, line, at in _lines(stream, file):
        if line is None:
            yield Row(number, None, f"The row has more than {MAX_ROW_BYTES // 2**20} MiB.", "", at)
        elif line.strip(b"\xef\xbb\xbf \t\r\n"):
            yield _parsed(number, line, at)


def _parsed(number: int, line: bytes, at: int) -> Row:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return Row(number, None, f"The row is not UTF-8 text (byte {error.start + 1}).", repr(line[:200]), at)
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        return Row(number, None, "The row is nested too deeply.", text[:200], at)
    except ValueError as error:
        where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return Row(number, None, f"The row is not JSON{where}.", text.rstrip("\n"), at)
    return _object(number, data, text.rstrip("\n"), at)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _object(number: int, data: Any, raw: str, at: int) -> Row:
    if not isinstance(data, dict):
        return Row(number, None, "The row is not a JSON object.", raw, at)
    return Row(number, data, None, raw, at)


def _read_json(stream: IO[bytes], file: IO[bytes]) -> Iterator[Row]:
    """Yield the objects of one JSON document: a list of them, or one alone."""
    raw = stream.read(MAX_JSON_BYTES + 1)
    if len(raw) > MAX_JSON_BYTES:
        raise InvalidInput(f"The file has over {MAX_JSON_BYTES // 2**20} MiB of JSON. Convert it to JSON lines.")
    try:
        found = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The file is not UTF-8 text (byte {error.start + 1}). Save it as UTF-8.") from None
    except (ValueError, RecursionError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidInput(f"The file is not JSON{where}. For one object a line, name it .jsonl.") from None
    for number, item in enumerate(found if isinstance(found, list) else [found], 1):
        yield _object(number, item, json.dumps(item), file.tell())


def _read_csv(stream: IO[bytes], file: IO[bytes]) -> Iterator[Row]:
    csv.field_size_limit(MAX_ROW_BYTES)
    lines = _Decoded(stream, file)
    try:
        first = next(lines, "")
    except csv.Error:
        first = ""
    reader = csv.reader(itertools.chain([first], lines), delimiter=_separator(first))
    names = _header(reader)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield Row(reader.line_num, None, f"The row is not CSV: {quoted(str(error))}.", "", file.tell())
            continue
        if cells is None:
            return
        if cells:
            yield _csv_row(reader.line_num, names, cells, file.tell())


def _separator(header: str) -> str:
    """Return what stands between the column names most often; a comma where none does.

    A spreadsheet writes `;` where the comma is the decimal sign (German, French, Spanish), and tabs when asked to.
    """
    bare = _QUOTED_NAME.sub("", header)
    return max(",;\t", key=bare.count)


class _Decoded:
    """The lines a csv reader takes. One that is too long ends the row it belongs to, not the file."""

    def __init__(self, stream: IO[bytes], file: IO[bytes]) -> None:
        self._lines = _lines(stream, file)

    def __iter__(self) -> "_Decoded":
        return self

    def __next__(self) -> str:
        number, line, _ = next(self._lines)
        if line is None:
            raise csv.Error(f"it has more than {MAX_ROW_BYTES // 2**20} MiB")
        text = line.decode("utf-8", "surrogateescape")
        return text.removeprefix("\ufeff") if number == 1 else text


def _header(reader: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip() for name in next(reader, [])]
    except csv.Error:
        names = []
    if not any(names):
        raise InvalidInput("The first line of a CSV file must name its columns. Add that line.")
    if not all(_is_text(name) for name in names):
        raise InvalidInput("The file is not UTF-8 text. Save it as UTF-8.")
    return names


def _is_text(cell: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in cell)


def _csv_row(number: int, names: list[str], cells: list[str], at: int) -> Row:
    raw = json.dumps(dict(zip(names, cells, strict=True)) if len(cells) == len(names) else cells)
    if not all(_is_text(cell) for cell in cells):
        return Row(number, None, "The row is not UTF-8 text.", raw, at)
    if len(cells) != len(names):
        return Row(number, None, f"The row has {len(cells)} cells, the header {len(names)}.", raw, at)
    return Row(number, dict(zip(names, cells, strict=True)), None, raw, at)


_READERS = {".csv": _read_csv, ".json": _read_json, ".jsonl": _read_jsonl}


def parse_mapping(pairs: list[str]) -> dict[str, str]:
    """Return {theirs: ours} from `theirs=ours` arguments. Raises InvalidInput for anything else."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        theirs, equals, ours = pair.partition("=")
        if not (theirs.strip() and equals and ours.strip()):
            raise InvalidInput(f"--map {quoted(pair)} is not theirs=ours. Write for example --map title=subject.")
        mapping[theirs.strip()] = ours.strip()
    return mapping
