import io
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records import Decoded, Message, NetworkSettings, RecordSettings, decode, decode_all
from tests.streams.flow_lines import flow
from tests.streams.records.dialects import parquet

RECORD = dict(zip(RecordSettings().format.split(), flow().split(), strict=True))
ROWS = 50


def read(value: bytes) -> Decoded:
    return decode(Message(value), RecordSettings(), NetworkSettings())


def written(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file, compression="gzip")
    return file.getvalue()


def test_names_with_hyphens_and_with_underscores_are_the_same() -> None:
    frame = pl.read_parquet(io.BytesIO(parquet([RECORD])))
    hyphens = frame.rename(lambda name: name.replace("_", "-"))
    assert hyphens.columns != frame.columns
    assert read(written(hyphens)).table.frame.equals(read(written(frame)).table.frame)


def test_columns_that_no_flow_log_has_are_passed_over() -> None:
    frame = pl.read_parquet(io.BytesIO(parquet([RECORD]))).with_columns(weather=pl.lit("fair"), codes=[[1, 2]])
    assert read(written(frame)).table.frame.equals(read(parquet([RECORD])).table.frame)


@pytest.mark.parametrize("missing", [None, "-", ""])
def test_missing_values_may_be_null_or_a_lone_minus_or_nothing(missing: str | None) -> None:
    frame = pl.read_parquet(io.BytesIO(parquet([RECORD])))
    found = read(written(frame.with_columns(vpc_id=pl.lit(missing, pl.String), interface_id=pl.lit("eni-1"))))
    assert found.refused.is_empty()
    assert found.table.frame.select("vpc_id", "interface_id").rows() == [(None, "eni-1")]


def test_a_refused_row_is_named_by_its_number() -> None:
    frame = pl.concat([pl.read_parquet(io.BytesIO(parquet([RECORD])))] * 4)
    bytes_counted = pl.Series("bytes", [1, -1, 3, None], dtype=pl.Int64)
    found = read(written(frame.with_columns(bytes_counted)))
    assert found.refused.select("line", "reason").rows() == [(2, "bytes -1 is negative"), (4, "bytes is missing")]
    assert found.table.frame["bytes"].to_list() == [1, 3]


@pytest.mark.parametrize("dtype", [pl.Int16(), pl.Int32(), pl.Int64(), pl.UInt32(), pl.UInt64(), pl.String()])
def test_whole_numbers_may_be_of_any_width_or_written_out(dtype: pl.DataType) -> None:
    frame = pl.read_parquet(io.BytesIO(parquet([RECORD]))).with_columns(pl.col("packets", "bytes").cast(dtype))
    assert read(written(frame)).table.frame.equals(read(parquet([RECORD])).table.frame)


def test_a_file_about_something_else_is_refused_with_a_reason() -> None:
    found = read(written(pl.DataFrame({"name": ["x"], "price": [5]})))
    assert found.refused["reason"].to_list() == ["Parquet cannot be read: no column is a field of flow logs"]


def test_a_file_of_no_rows_is_neither_read_nor_refused() -> None:
    frame = pl.read_parquet(io.BytesIO(parquet([RECORD])))
    found = read(written(frame.clear()))
    assert (len(found.table), found.refused.height) == (0, 0)


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=40, deadline=None)
def test_a_file_that_was_cut_off_is_refused_whole(share: float) -> None:
    value = parquet([RECORD] * ROWS)
    cut = value[: max(4, int(len(value) * share))]
    found = decode_all([Message(cut), Message(flow().encode())], RecordSettings(), NetworkSettings())
    assert found.rows.tolist() == [0, 1]
    assert [reason[:22] for reason in found.refused["reason"]] == ["Parquet cannot be read"]


def test_a_file_written_under_hive_partitions_needs_nothing_of_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "aws-account-id=123456789010" / "aws-service=vpcflowlogs" / "year=2026"
    folder.mkdir(parents=True)
    (folder / "flows.parquet").write_bytes(parquet([RECORD]))
    found = read((folder / "flows.parquet").read_bytes())
    assert found.table.frame["account_id"].to_list() == [RECORD["account-id"]]
