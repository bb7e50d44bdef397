"""The example on the page about adding a dialect does what the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.markdown import section, split

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "add-a-dialect.md"

# A process of its own: the dialects that there are, are looked for once.
PROGRAM = """
import json, sys
import streams.records
streams.records.__path__.append(sys.argv[1])
from streams.records import Message, NetworkSettings, RecordSettings, decode, decode_all, dialects

assert "palisade-json" in {dialect.name for dialect in dialects()}
values = [value.encode() for value in json.load(sys.stdin)]
alone = [decode(Message(value), RecordSettings(), NetworkSettings()) for value in values]
together = decode_all([Message(value) for value in values], RecordSettings(), NetworkSettings())
assert together.rows.tolist() == [len(found.table) for found in alone]
print(json.dumps([[found.table.frame["action"].to_list(), found.refused["reason"].to_list()] for found in alone]))
"""


def test_the_complete_example_is_read_as_the_page_says(tmp_path: Path) -> None:
    fences = {fence.info: fence.text for fence in split(PAGE)[1]}
    (tmp_path / "palisade.py").write_text(fences["python"], encoding="utf-8")
    example = json.loads(fences["json"])
    table = re.findall(r"^\| `(\w+)` \| (\w*) ?\| ?(.*?) ?\|$", section(PAGE, "A complete example"), re.MULTILINE)
    assert [verdict for verdict, _, _ in table] == ["pass", "drop", "maybe"]
    values = [json.dumps(example | {"verdict": verdict}) for verdict, _, _ in table]
    values.append("2 1 eni-1 192.0.2.1 10.0.0.5 40112 443 6 10 5260 1700000000 1700000059 ACCEPT OK")
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        input=json.dumps(values),
        cwd=PAGE.parents[2],
        env=os.environ | {"PYTHONPATH": str(PAGE.parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    expected = [[[accepted] if accepted else [], [refused] if refused else []] for _, accepted, refused in table]
    assert json.loads(ran.stdout) == [*expected, [["ACCEPT"], []]]
