import io
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.records import Decoded, Message, NetworkSettings, RecordSettings, decode, decode_all
from tests.streams.flow_lines import flow
from tests.streams.records.dialects import parquet

RECORD = dict(zip(RecordSettings().format.split(), flow().split(), strict=True))
ROWS = 50


COLUMNS = pl.read_parquet(io.BytesIO(parquet([RECORD] * ROWS)))


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


@given(at=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_file_with_spoilt_bytes_is_read_or_refused(compression: str, at: list[tuple[float, int]]) -> None:
    file = io.BytesIO()
    pa.parquet.write_table(COLUMNS.to_arrow(), file, compression=compression)
    spoilt = bytearray(file.getvalue())
    for share, byte in at:
        spoilt[4 + int((len(spoilt) - 4) * share)] = byte
    found = decode_all([Message(bytes(spoilt)), Message(flow().encode())], RecordSettings(), NetworkSettings())
    assert found.rows[1] == 1
    assert set(found.refused["message"]) <= {0}


def test_an_index_outside_of_its_dictionary_is_damage() -> None:
    file = io.BytesIO()
    names = ["eni-1", "eni-2", "eni-3"]
    frame = COLUMNS.head(8).with_columns(interface_id=pl.Series([names[row % 3] for row in range(8)]))
    pa.parquet.write_table(frame.to_arrow(), file, compression="none")
    # Two bits to an index, eight indices packed.
    packed = b"\x02\x03\x24\x49"
    assert file.getvalue().count(packed) == 1
    assert read(file.getvalue()).table.frame["interface_id"].to_list()[:3] == names
    found = read(file.getvalue().replace(packed, b"\x02\x03\xff\xff"))
    assert found.refused["reason"].to_list() == ["Parquet cannot be read: an index lies outside of its dictionary"]


@pytest.mark.parametrize("dictionary", [False, True])
def test_text_that_is_not_utf_8_is_damage(dictionary: bool) -> None:
    file = io.BytesIO()
    spoilt = COLUMNS.to_arrow().set_column(
        COLUMNS.columns.index("interface_id"),
        "interface_id",
        pa.array([b"\xff\xfe"] * ROWS).view(pa.string()),
    )
    pa.parquet.write_table(spoilt, file, use_dictionary=dictionary)
    assert "UTF8" in read(file.getvalue()).refused["reason"][0]


@pytest.mark.parametrize("rows", [7, 1000])
def test_texts_are_the_same_whether_they_repeat_or_not(rows: int) -> None:
    hosts = [f"10.0.{row % rows // 256}.{row % rows % 256}" for row in range(1000)]
    interfaces = [None if row % 5 == 0 else "-" if row % 5 == 1 else f"eni-{row % rows}" for row in range(1000)]
    actions = [("ACCEPT", "REJECT", "MAYBE", None)[row % 4] for row in range(1000)]
    frame = pl.concat([COLUMNS.head(1)] * 1000).with_columns(
        srcaddr=pl.Series(hosts), interface_id=pl.Series(interfaces, dtype=pl.String), action=pl.Series(actions)
    )
    found = []
    for dictionary, group in ((True, 1000), (True, 90), (False, 1000), (["srcaddr"], 300)):
        file = io.BytesIO()
        pa.parquet.write_table(frame.to_arrow(), file, use_dictionary=dictionary, row_group_size=group)
        found.append(read(file.getvalue()))
    assert found[0].table.frame.height == 500
    assert found[0].table.frame["interface_id"].null_count() == 200
    assert found[0].refused["reason"].to_list() == [
        "action MAYBE is not ACCEPT or REJECT" if row % 4 == 2 else "action is missing"
        for row in range(1000)
        if row % 4 > 1
    ]
    for other in found[1:]:
        assert other.table.frame.equals(found[0].table.frame)
        assert other.refused.equals(found[0].refused)


def test_few_bytes_that_would_become_many_are_read_in_little_memory() -> None:
    megabyte, rows = 2**20, 20_000
    table = pl.concat([COLUMNS.head(1)] * rows).to_arrow()
    large = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * megabyte])
    file = io.BytesIO()
    pa.parquet.write_table(table.append_column("vpc_id", large), file, store_schema=False)
    found = read(file.getvalue())
    assert found.refused.is_empty()
    assert found.table.frame["vpc_id"].str.len_bytes().unique_counts().to_list() == [rows]
    assert found.table.frame["vpc_id"][0] == "x" * megabyte


def test_a_file_written_under_hive_partitions_needs_nothing_of_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "aws-account-id=123456789010" / "aws-service=vpcflowlogs" / "year=2026"
    folder.mkdir(parents=True)
    (folder / "flows.parquet").write_bytes(parquet([RECORD]))
    found = read((folder / "flows.parquet").read_bytes())
    assert found.table.frame["account_id"].to_list() == [RECORD["account-id"]]
