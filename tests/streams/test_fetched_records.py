from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.fetched_records import UNKNOWN, Record, Records

values = st.lists(st.binary(max_size=12))
gaps = st.lists(st.binary(min_size=1, max_size=70), min_size=1)


def records_of(values: list[bytes], gaps: list[bytes]) -> Records:
    """Put other bytes before, between and behind values, as Kafka does."""
    buffer, begin = gaps[0], []
    for number, value in enumerate(values):
        begin.append(len(buffer))
        buffer += value + gaps[number % len(gaps)]
    begins = np.array(begin, np.int64)
    ends = begins + np.array([len(value) for value in values], np.int64)
    offsets = np.arange(len(values)) * 2
    return Records(buffer, begins, ends, offsets, np.full(len(values), UNKNOWN))


@given(values, gaps)
def test_values_are_joined_whatever_lies_between_them(values: list[bytes], gaps: list[bytes]) -> None:
    records = records_of(values, gaps)
    assert bytes(records.joined()) == b"".join(value + b"\n" for value in values)
    assert bytes(records[1:3].joined()) == b"".join(value + b"\n" for value in values[1:3])
    assert records.values() == values


@given(values, gaps, st.integers(1, 5), st.integers(1, 20))
def test_parts_are_as_large_as_they_may_be(values: list[bytes], gaps: list[bytes], most: int, most_bytes: int) -> None:
    parts = list(records_of(values, gaps).parts(most, most_bytes))
    assert [value for part in parts for value in part.values()] == values
    for part in parts:
        assert 1 <= len(part) <= most
        assert len(part) == 1 or part.sizes.sum() <= most_bytes
    for part, following in pairwise(parts):
        assert len(part) == most or part.sizes.sum() + following.sizes[0] > most_bytes


def test_records_are_as_they_were() -> None:
    written = [
        Record(3, 1_767_603_600_000, b"one", (("a", b"b"), ("a", b"c"), ("d", None))),
        Record(5, None, b"", ()),
    ]
    records = Records.of(written)
    assert list(records) == written
    assert list(records[1:]) == written[1:]
    assert records[0].said == {"a": b"c"}
    assert Records.of(written[1:]).headers is None


@given(st.lists(st.tuples(values, gaps, st.booleans()), max_size=4))
def test_records_are_put_behind_each_other(several: list[tuple[list[bytes], list[bytes], bool]]) -> None:
    parts = [
        Records.of(Record(3, 7, value, (("a", b"b"),)) for value in values) if own else records_of(values, gaps)
        for values, gaps, own in several
    ]
    together = Records.concatenated(parts)
    assert list(together) == [record for part in parts for record in part]
    assert bytes(together.joined()) == b"".join(value + b"\n" for part in parts for value in part.values())


def test_many_are_joined_as_few_are() -> None:
    values = [b"%d" % number for number in range(70_000)]
    assert bytes(records_of(values, [b"\0", b"\1\2"]).joined()) == b"\n".join([*values, b""])


def test_what_has_no_value_is_empty() -> None:
    class Deleted:
        offset, timestamp, value, headers = 7, 1, None, ()

    assert Records.of([Deleted])[0] == Record(7, 1, b"")


def test_there_may_be_none() -> None:
    records = Records.of([])
    assert (len(records), list(records), bytes(records.joined()), list(records.parts(1, 1))) == (0, [], b"", [])


def test_nothing_is_beyond_the_last_one() -> None:
    with pytest.raises(IndexError):
        Records.of([Record(0, None, b"one")])[1]
