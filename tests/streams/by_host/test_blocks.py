from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records, traffic
from detectors.span import Position
from detectors.table import ACTIONS, COLUMNS, DIRECTIONS, LOG_STATUSES, OPTIONAL, Table
from detectors.watch import END_OF_TIME
from streams.by_host.blocks import (
    BEGIN_HEADER,
    COMPLETE_HEADER,
    END_HEADER,
    FORMAT_HEADER,
    NEWEST_HEADER,
    SOURCE_HEADER,
    Block,
    decode,
    headers,
)
from streams.by_host.columns import KEPT, Columns
from streams.errors import ServiceError
from tests.detectors import strategies

EXAMPLES: Mapping[pl.DataType, list[Any]] = {
    pl.String(): ["a", "", None, "ü", "a"],
    pl.UInt8(): [1, None, 0, 255, 1],
    pl.UInt64(): [2**64 - 1, None, 0, 1, 2**63],
}


def block(table: Table, **said: Any) -> Block:
    """A block of a range in which every message has two rows."""
    number = np.arange(len(table))
    ends = table.frame["end"].to_numpy()
    reached = np.maximum.accumulate(np.concatenate(([-END_OF_TIME], ends)))
    whole = Block(
        source="flows/3",
        begin=Position(10),
        end=Position(10 + (len(table) + 1) // 2),
        complete=0,
        newest=int(reached[-1]),
        table=table,
        offsets=10 + number // 2,
        rows=number % 2,
        reached=reached[:-1],
    )
    return replace(whole, **said)


def encode(each: Block) -> tuple[bytes, dict[str, bytes]]:
    said = headers(each.source, each.begin, each.end, complete=each.complete, newest=each.newest, idle=each.idle)
    columns = Columns(each.table, each.offsets, each.rows)
    return columns.content(np.arange(len(each.table)), each.reached) if len(each.table) else b"", said


def facts(each: Block) -> tuple[Any, ...]:
    return (
        *(each.source, each.begin, each.end, each.complete, each.newest),
        *(values.tolist() for values in (each.offsets, each.rows, each.reached)),
        each.table.frame.select(name for name in KEPT if name in each.table.frame.columns).to_dicts(),
    )


def with_optional(table: Table) -> Table:
    """Put every optional column beside five rows."""
    columns = [pl.Series(name, EXAMPLES[dtype], dtype=dtype) for name, dtype in OPTIONAL.items()]
    return Table(table.frame.with_columns(columns))


@strategies.quick
@given(strategies.rows(), st.integers(0, 1))
def test_what_is_written_is_read_again(rows: list[dict[str, Any]], complete: int) -> None:
    written = block(records(rows), complete=complete)
    assert facts(decode(*encode(written))) == facts(written)


def test_optional_columns_that_stages_read_are_kept_and_others_are_left_out() -> None:
    written = block(with_optional(traffic().rows(0, 5)))
    read = decode(*encode(written))
    assert facts(read) == facts(written)
    assert tuple(read.table.frame.columns) == KEPT
    assert set(OPTIONAL) - set(KEPT) > {"subnet_id", "version"}


def test_what_is_read_is_a_record_table() -> None:
    read = decode(*encode(block(traffic())))
    assert Table(read.table.frame).frame.equals(traffic().frame)
    assert {values.dtype for values in (read.offsets, read.rows, read.reached)} == {np.dtype(np.int64)}


def test_a_block_without_rows_is_all_headers() -> None:
    written = block(Table.empty(), source="flüsse/0", complete=1)
    value, headers = encode(written)
    assert value == b""
    assert facts(decode(value, headers)) == facts(written)


def test_a_record_takes_few_bytes() -> None:
    table = traffic(quiet_hosts=500)
    value, _ = encode(block(table))
    assert len(value) / len(table) < 30


def test_labels_are_written_as_numbers_that_never_change() -> None:
    # Whoever changes one of these raises the version of the format.
    assert [kind.categories.to_list() for kind in (ACTIONS, DIRECTIONS, LOG_STATUSES)] == [
        ["ACCEPT", "REJECT"],
        ["ingress", "egress"],
        ["OK", "NODATA", "SKIPDATA"],
    ]
    assert [column.name for column in COLUMNS if isinstance(column.dtype, pl.Enum)] == [
        "action",
        "log_status",
        "direction",
    ]


@pytest.mark.parametrize("written", [b"2", b"", None])
def test_a_block_in_another_format_is_refused(written: bytes | None) -> None:
    value, headers = encode(block(traffic()))
    others = {name: text for name, text in headers.items() if name != FORMAT_HEADER}
    with pytest.raises(ServiceError, match=r"flows/3 from b'10/0' is in format .* update routers and watchers"):
        decode(value, others if written is None else {**others, FORMAT_HEADER: written})


@pytest.mark.parametrize("missing", [SOURCE_HEADER, BEGIN_HEADER, END_HEADER, COMPLETE_HEADER, NEWEST_HEADER])
def test_a_block_without_one_of_its_headers_is_damaged(missing: str) -> None:
    value, headers = encode(block(traffic()))
    del headers[missing]
    with pytest.raises(ServiceError, match=f"damaged: KeyError: '{missing}'"):
        decode(value, headers)


@pytest.mark.parametrize("said", [{BEGIN_HEADER: b"7"}, {END_HEADER: b"a/b"}, {NEWEST_HEADER: b""}])
def test_a_block_with_headers_that_make_no_sense_is_damaged(said: dict[str, bytes]) -> None:
    value, headers = encode(block(traffic()))
    with pytest.raises(ServiceError, match="damaged"):
        decode(value, headers | said)


@strategies.quick
@given(st.binary(min_size=1), st.integers(0, 1_000), st.booleans())
def test_damaged_bytes_are_an_error_that_says_so(garbage: bytes, at: int, inside: bool) -> None:
    value, headers = encode(block(traffic().rows(0, 20)))
    if inside:
        content = zstandard.ZstdDecompressor().decompress(value)
        broken = zstandard.ZstdCompressor().compress(content[: at % len(content)])
    else:
        at %= len(value)
        broken = value[:at] + garbage if value[at : at + len(garbage)] != garbage else value[:at]
    if not broken:
        return
    with pytest.raises(ServiceError, match="flows/3 from b'10/0' is damaged"):
        decode(broken, headers)


@strategies.quick
@given(strategies.rows(), st.integers(8, 30), st.integers(0, 3))
def test_what_lies_before_a_place_can_be_left_out(rows: list[dict[str, Any]], offset: int, row: int) -> None:
    whole, place = block(records(rows), complete=1), Position(offset, row)
    rest = whole.since(place)
    places = list(zip(whole.offsets.tolist(), whole.rows.tolist(), strict=True))
    kept = [number for number, each in enumerate(places) if each >= place]
    assert list(zip(rest.offsets.tolist(), rest.rows.tolist(), strict=True)) == [places[each] for each in kept]
    assert rest.table.frame.equals(whole.table.frame[kept])
    assert rest.reached.tolist() == whole.reached[kept].tolist()
    assert (rest.begin, rest.end) == (max(whole.begin, min(place, whole.end)), whole.end)
    assert rest.newest == whole.newest


def test_the_mark_of_a_complete_source_goes_with_what_lay_before() -> None:
    whole = block(traffic(), complete=1)
    assert whole.since(Position(9)) is whole
    assert whole.since(Position(10)) is whole
    assert whole.since(Position(10, 1)).complete == 0
