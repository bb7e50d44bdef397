"""Which dialect takes which message; nothing else may decide how its bytes are understood."""

from pathlib import Path

import pytest

from streams.records import Message, RecordSettings, dialects
from streams.records.contract import FORMAT_HEADER
from tests.streams.flow_lines import flow
from tests.streams.records.dialects import ecs, json_numbers, json_strings, ocsf, parquet, text

SETTINGS = RecordSettings()
GOLDEN = Path(__file__).parents[2] / "golden" / "records"
RECORD = dict(zip(SETTINGS.format.split(), flow().split(), strict=True))

EXAMPLES = {
    "default text": ("aws-text", flow().encode()),
    "custom text": ("aws-text", (GOLDEN / "aws-custom.log").read_bytes()),
    "text with commas": ("aws-text", text([RECORD], ",")),
    "text of version 6 that no gateway wrote": ("aws-text", flow().replace("2 ", "6 ", 1).encode()),
    "gateway lines": ("aws-transit-gateway", (GOLDEN / "transit-gateway.log").read_bytes()),
    "AWS objects with numbers": ("aws-json", json_numbers([RECORD])),
    "AWS objects with strings": ("aws-json", json_strings([RECORD])),
    "documented ECS": ("ecs-json", (GOLDEN / "ecs.json").read_bytes()),
    "other ECS": ("ecs-json", ecs([RECORD])),
    "documented OCSF": ("ocsf-json", (GOLDEN / "ocsf.json").read_bytes()),
    "other OCSF": ("ocsf-json", ocsf([RECORD])),
    "Parquet": ("aws-parquet", parquet([RECORD])),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_one_dialect_takes_a_message_and_no_other_wants_it(example: str) -> None:
    expected, value = EXAMPLES[example]
    specific = [
        dialect.name
        for dialect in dialects()
        if not dialect.last
        and value[:1] in {bytes([byte]) for byte in dialect.begins}
        and dialect.recognises(Message(value), SETTINGS)
    ]
    assert specific == ([] if expected == "aws-text" else [expected])


def test_a_format_in_the_headers_does_not_make_an_object_text() -> None:
    message = Message(json_numbers([RECORD]), {FORMAT_HEADER: b"srcaddr dstaddr"})
    assert next(dialect.name for dialect in dialects() if dialect.recognises(message, SETTINGS)) == "aws-json"
