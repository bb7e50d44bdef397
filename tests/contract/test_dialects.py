"""What every dialect must hold to, whatever the bytes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.records import Dialect, Message, NetworkSettings, RecordSettings, decode, decode_all, dialects
from streams.records.contract import DIALECT_HEADER
from tests.streams.flow_lines import flow, scan
from tests.streams.records.dialects import ecs, json_numbers, json_strings, ocsf, parquet

SETTINGS = RecordSettings()

GOLDEN = Path(__file__).parents[1] / "golden" / "records"
RECORD = dict(zip(SETTINGS.format.split(), flow().split(), strict=True))

EXAMPLES: dict[str, Sequence[bytes]] = {
    "aws-text": ["\n".join(scan()).encode(), flow("2001:db8::1", "2001:db8::2").encode()],
    "aws-json": [
        json_numbers([RECORD, RECORD]),
        json_strings([RECORD]),
        (GOLDEN / "transit-gateway-objects.json").read_bytes(),
    ],
    "aws-parquet": [parquet([RECORD, RECORD])],
    "aws-transit-gateway": [(GOLDEN / "transit-gateway.log").read_bytes()],
    "ecs-json": [ecs([RECORD, RECORD])],
    "ocsf-json": [ocsf([RECORD, RECORD])],
}
"""Messages that a dialect reads without refusing anything."""

WHATEVER = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([flow().encode(), "\n".join(scan()).encode(), b"{}", b"\n\n", b" ", b"\x00", b"srcaddr end"]),
)


@pytest.fixture(params=dialects(), ids=lambda dialect: dialect.name)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    found = request.param
    assert isinstance(found, Dialect)
    return found


Rows = list[tuple[int, int, bytes, str | None]]


def read(dialect: Dialect, values: Sequence[bytes]) -> Rows:
    """Return message, line and bytes of everything that is read, and why it is refused where it is."""
    messages = [Message(value) for value in values]
    found: Rows = []
    for done in dialect.read(messages, dialect.layout(messages[0], SETTINGS), SETTINGS):
        count = len(done.messages)
        assert {len(column) for column in done.columns.values()} <= {count}
        places = done.places(np.arange(count))
        assert [place.message for place in places] == done.messages.tolist()
        found += [(*place, None) for place in places]
        found += [(*place, reason) for place, reason in done.refused]
    return sorted(found, key=lambda row: row[:2])


def test_names_are_unique() -> None:
    assert len({dialect.name for dialect in dialects()}) == len(dialects())


def test_its_own_examples_are_recognised_and_decoded_whole(dialect: Dialect) -> None:
    assert dialect.name in EXAMPLES, "give examples of it"
    for value in EXAMPLES[dialect.name]:
        assert dialect.recognises(Message(value), SETTINGS)
        for headers in ({}, {DIALECT_HEADER: dialect.name.encode()}):
            decoded = decode(Message(value, headers), SETTINGS, NetworkSettings())
            assert decoded.refused.is_empty()
            assert len(decoded.table) > 0


def test_messages_together_are_read_as_each_alone(dialect: Dialect) -> None:
    values = [*EXAMPLES[dialect.name], b"garbage of any kind", EXAMPLES[dialect.name][0]]
    alone = [(index, read(dialect, [value])) for index, value in enumerate(values)]
    assert read(dialect, values) == [(index, *row[1:]) for index, rows in alone for row in rows]


@given(values=st.lists(WHATEVER, min_size=1, max_size=5))
@pytest.mark.parametrize("dialect", dialects(), ids=lambda dialect: dialect.name)
def test_whatever_the_bytes_it_answers_in_form(dialect: Dialect, values: list[bytes]) -> None:
    messages = [Message(value) for value in values]
    for message in messages:
        assert dialect.recognises(message, SETTINGS) in {True, False}
    rows = [row[:2] for row in read(dialect, values)]
    assert len(set(rows)) == len(rows)
    assert all(line >= 1 and message < len(values) for message, line in rows)


@given(values=st.lists(WHATEVER, min_size=1, max_size=5))
def test_decoding_never_raises_and_is_the_same_every_time(values: list[bytes]) -> None:
    messages = [Message(value) for value in values]
    first, second = (decode_all(messages, SETTINGS, NetworkSettings()) for _ in range(2))
    assert first.table.frame.equals(second.table.frame)
    assert first.refused.equals(second.refused)
    assert first.rows.sum() == len(first.table)


def test_blank_lines_and_line_ends_of_other_systems_are_no_records(dialect: Dialect) -> None:
    value = EXAMPLES[dialect.name][0]
    if dialect.name == "aws-parquet":
        return  # has no lines
    padded = b"\r\n".join([b"", *value.split(b"\n"), b"", b""])
    assert decode(Message(padded), SETTINGS, NetworkSettings()).table.frame.equals(
        decode(Message(value), SETTINGS, NetworkSettings()).table.frame
    )
