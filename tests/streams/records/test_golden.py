import json

import pytest

from detectors.table import Table
from streams.records import Message, NetworkSettings, RecordSettings, decode
from tests.streams.records.golden import GOLDEN, READERS

FILES = sorted(
    path.name for path in GOLDEN.iterdir() if path.suffix in {".log", ".json"} and ".expected" not in path.name
)


def expected_of(name: str) -> dict[str, list[object]]:
    found = json.loads((GOLDEN / name).with_suffix(".expected.json").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def found_in(name: str) -> dict[str, object]:
    found = decode(Message((GOLDEN / name).read_bytes()), RecordSettings(), NetworkSettings())
    rows = [
        {column: value for column, value in row.items() if value is not None}
        for row in Table(found.table.frame).frame.to_dicts()
    ]
    return {"rows": rows, "refused": [list(row) for row in found.refused.select("line", "reason").rows()]}


def test_there_is_a_file_for_every_dialect() -> None:
    assert sorted(READERS) == FILES


@pytest.mark.parametrize("name", FILES)
def test_documented_examples_are_read_as_written_down(name: str) -> None:
    assert found_in(name) == expected_of(name)


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_down_follows_from_the_tables_of_fields_alone(name: str) -> None:
    told, expected = list(READERS[name](name)), expected_of(name)
    assert [row for row in told if row is not None] == expected["rows"]
    refused = json.loads(json.dumps(expected["refused"]))
    assert [number for number, row in enumerate(told, 1) if row is None] == [line for line, _ in refused]
