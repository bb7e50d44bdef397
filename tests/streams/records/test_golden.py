import json
from pathlib import Path

import pytest

from streams.records import Message, NetworkSettings, RecordSettings, decode

GOLDEN = Path(__file__).parents[2] / "golden" / "records"
FILES = sorted(
    path.name for path in GOLDEN.iterdir() if path.suffix in {".log", ".json"} and ".expected" not in path.name
)


def found_in(name: str) -> dict[str, object]:
    found = decode(Message((GOLDEN / name).read_bytes()), RecordSettings(), NetworkSettings())
    rows = [
        {column: value for column, value in row.items() if value is not None} for row in found.table.frame.to_dicts()
    ]
    return {"rows": rows, "refused": [list(row) for row in found.refused.select("line", "reason").rows()]}


def test_there_is_a_file_for_every_dialect() -> None:
    assert len(FILES) == 6


@pytest.mark.parametrize("name", FILES)
def test_documented_examples_are_read_as_written_down(name: str) -> None:
    expected = json.loads((GOLDEN / name).with_suffix(".expected.json").read_text(encoding="utf-8"))
    assert found_in(name) == expected
