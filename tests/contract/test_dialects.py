"""What every dialect must hold to, whatever the bytes."""

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records import REFUSED, Dialect, Message, NetworkSettings, RecordSettings, decode, decode_all, dialects
from streams.records.contract import DIALECT_HEADER
from tests.streams.flow_lines import flow, scan

SETTINGS = RecordSettings()

EXAMPLES: dict[str, Sequence[bytes]] = {
    "aws-text": ["\n".join(scan()).encode(), flow("2001:db8::1", "2001:db8::2").encode()],
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


def read(dialect: Dialect, values: Sequence[bytes]) -> tuple[pl.DataFrame, pl.DataFrame]:
    messages = [Message(value) for value in values]
    done = dialect.read(messages, dialect.layout(messages[0], SETTINGS), SETTINGS)
    return done.frame, done.refused


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
    frame, refused = read(dialect, values)
    alone = [read(dialect, [value]) for value in values]
    for together, parts in ((frame, [each[0] for each in alone]), (refused, [each[1] for each in alone])):
        counted = [part.with_columns(pl.lit(index, pl.UInt32).alias("message")) for index, part in enumerate(parts)]
        assert together.equals(pl.concat(counted))


@settings(deadline=None)
@given(values=st.lists(WHATEVER, min_size=1, max_size=5))
@pytest.mark.parametrize("dialect", dialects(), ids=lambda dialect: dialect.name)
def test_whatever_the_bytes_it_answers_in_form(dialect: Dialect, values: list[bytes]) -> None:
    messages = [Message(value) for value in values]
    for message in messages:
        assert dialect.recognises(message, SETTINGS) in {True, False}
    frame, refused = read(dialect, values)
    assert frame.columns[:3] == ["message", "line", "raw"]
    assert (frame["message"].dtype, frame["line"].dtype) == (pl.UInt32(), pl.UInt32())
    assert refused.schema == REFUSED
    lines = pl.concat([frame.select("message", "line"), refused.select("message", "line")])
    assert lines.is_unique().all()
    assert (lines["line"] >= 1).all()
    assert (lines["message"] < len(values)).all()


@settings(deadline=None)
@given(values=st.lists(WHATEVER, min_size=1, max_size=5))
def test_decoding_never_raises_and_is_the_same_every_time(values: list[bytes]) -> None:
    messages = [Message(value) for value in values]
    first, second = (decode_all(messages, SETTINGS, NetworkSettings()) for _ in range(2))
    assert first.table.frame.equals(second.table.frame)
    assert first.refused.equals(second.refused)
    assert first.rows.sum() == len(first.table)


def test_blank_lines_and_line_ends_of_other_systems_are_no_records(dialect: Dialect) -> None:
    value = EXAMPLES[dialect.name][0]
    padded = b"\r\n".join([b"", *value.split(b"\n"), b"", b""])
    assert decode(Message(padded), SETTINGS, NetworkSettings()).table.frame.equals(
        decode(Message(value), SETTINGS, NetworkSettings()).table.frame
    )
