import polars as pl
import pytest

from detectors.table import COLUMNS, OPTIONAL, SCHEMA, Table


def test_every_column_is_described_once() -> None:
    names = [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    assert [*SCHEMA.names(), *OPTIONAL.names()] == names
    assert all(column.meaning and column.null for column in COLUMNS)


def test_every_published_field_of_aws_has_a_column() -> None:
    fields = {column.aws for column in COLUMNS} - {None}
    assert len(fields) == 54
    assert {"pkt-srcaddr", "ecs-task-id", "encryption-status", "next-hop-interface-type"} <= fields


def test_optional_columns_stand_behind_the_required_ones() -> None:
    frame = pl.DataFrame(schema={**SCHEMA, "region": pl.String()})
    assert Table(frame).frame.columns[-1] == "region"
    with pytest.raises(ValueError, match="begins with the columns"):
        Table(frame.select("region", *SCHEMA.names()))


def test_a_column_of_another_type_is_refused() -> None:
    with pytest.raises(ValueError, match="column 'bytes' of a record table is Int64, not String"):
        Table(pl.DataFrame(schema={**SCHEMA, "bytes": pl.String()}))


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ValueError, match="has no column 'colour'"):
        Table(pl.DataFrame(schema={**SCHEMA, "colour": pl.String()}))


def test_tables_below_each_other_keep_the_order_of_columns() -> None:
    first = Table(pl.DataFrame(schema={**SCHEMA, "region": pl.String()}))
    second = Table(pl.DataFrame(schema={**SCHEMA, "version": pl.UInt8()}))
    assert Table.concatenated([first, second]).frame.columns == [*SCHEMA.names(), "version", "region"]
    assert len(Table.concatenated([])) == 0
