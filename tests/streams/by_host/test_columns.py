from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records, traffic
from detectors.table import Table
from streams.by_host import columns
from streams.by_host.columns import KEPT, Columns
from tests.detectors import strategies

FAR = 2**62


def taken(table: Table, rows: list[int], offsets: list[int] | None = None) -> tuple[pl.DataFrame, list[list[int]]]:
    """Write some rows of a table and read them again."""
    count = len(table)
    places = np.array(list(range(count)) if offsets is None else offsets, np.int64)
    whole = Columns(table, places, np.arange(count) % 3)
    chosen = np.array(rows, np.int64)
    read, *numbers = columns.read(whole.content(chosen, chosen - FAR))
    return read.frame, [each.tolist() for each in numbers]


@strategies.quick
@given(strategies.rows(), st.data())
def test_rows_that_are_taken_are_those_of_the_table(rows: list[dict[str, Any]], data: st.DataObject) -> None:
    table = records(rows)
    chosen = sorted(data.draw(st.sets(st.integers(0, len(table) - 1), min_size=1))) if rows else []
    read, (offsets, numbers, reached) = taken(table, chosen)
    assert read.equals(table.frame.select(name for name in KEPT if name in table.frame.columns)[chosen])
    assert offsets == chosen
    assert numbers == [row % 3 for row in chosen]
    assert reached == [row - FAR for row in chosen]


@pytest.mark.parametrize("span", [0, 1, 2**8 - 1, 2**8, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**62])
def test_numbers_may_lie_as_far_apart_as_they_like(span: int) -> None:
    table = traffic().rows(0, 3)
    frame = table.frame.with_columns(bytes=pl.Series([7, 7 + span, None], dtype=pl.Int64))
    read, (offsets, *_) = taken(Table(frame), [0, 1, 2], [10, 10, 10 + span])
    assert read["bytes"].to_list() == [7, 7 + span, None]
    assert offsets == [10, 10, 10 + span]


def test_columns_that_are_the_same_everywhere_take_no_room() -> None:
    table = traffic(quiet_hosts=300)
    different = table.frame.with_columns(account_id=pl.Series([f"{number:012}" for number in range(len(table))]))
    everything = np.arange(len(table))

    def size(each: Table) -> int:
        return len(Columns(each, everything, everything).content(everything, everything))

    assert table.frame["account_id"].n_unique() == 1
    assert size(table) < size(Table(different)) - len(table)


@pytest.mark.parametrize("value", [None, "", "a"])
def test_a_column_that_is_the_same_everywhere_is_read_again(value: str | None) -> None:
    frame = traffic().frame.with_columns(pl.lit(value, pl.String).alias("vpc_id"))
    read, _ = taken(Table(frame), [3, 1])
    assert read["vpc_id"].to_list() == [value, value]


def test_texts_of_other_rows_are_left_out_where_there_are_many() -> None:
    count = 2_000
    table = traffic(quiet_hosts=count).rows(0, count)
    names = pl.Series("interface_id", [f"eni-{number:017x}" for number in range(count)])
    whole = Columns(Table(table.frame.with_columns(names)), np.arange(count), np.arange(count))
    content = whole.content(np.array([5, 1_999]), np.zeros(2, np.int64))
    assert columns.read(content)[0].frame["interface_id"].to_list() == [names[5], names[1_999]]
    assert b"eni-" + b"0" * 16 + b"7" not in zstandard.ZstdDecompressor().decompress(content)
    assert len(content) < 10_000


def test_what_would_unpack_to_too_much_is_refused() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(columns.LARGEST_CONTENT + 1))
    with pytest.raises(ValueError, match="would unpack to more than"):
        columns.read(bomb)
