import io
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from botocore.exceptions import ClientError

from streams.errors import InputError
from streams.records import Message, NetworkSettings, RecordSettings, decode
from streams.records.contract import FORMAT_HEADER
from streams.sources import Block, Position, source_at
from streams.sources.aws import AwsSettings, client, told
from streams.sources.resumed import END
from streams.sources.s3 import S3Source
from tests.streams.flow_lines import NINE, flow
from tests.streams.sources.aws import ACCOUNT, BUCKET, REGION, aws, bucket, key, put

DAY = datetime(2026, 1, 5, tzinfo=UTC)
OTHER = "210987654321"


@pytest.fixture
def s3() -> Iterator[Any]:
    with aws():
        yield bucket()


def opened(query: str = "", prefix: str = "") -> S3Source:
    source = source_at(f"s3://{BUCKET}/{prefix}?region={REGION}{query}")
    assert isinstance(source, S3Source)
    return source


def origins(blocks: list[Block]) -> list[str]:
    return [block.origin.removeprefix(f"s3://{BUCKET}/") for block in blocks]


def test_objects_of_all_accounts_regions_and_layouts_come_in_the_order_of_their_times(s3: Any) -> None:
    names = [
        key(DAY + timedelta(minutes=5 * step), account=account, region=region, hive=hive, number=step)
        for step in range(4)
        for account, region, hive in ((ACCOUNT, "eu-west-1", False), (OTHER, "us-east-1", True))
    ]
    for number, name in enumerate(names):
        put(s3, name, [flow(port=number + 1)])
    blocks = list(opened().blocks())
    assert [port(block) for block in blocks] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert sorted(origins(blocks)) == sorted(names)


def port(block: Block) -> int:
    return int(block.value.split()[6])


def test_a_date_range_looks_into_no_other_folder(s3: Any) -> None:
    for day in range(10):
        for hive in (False, True):
            put(s3, key(DAY + timedelta(days=day, hours=9), hive=hive), [flow(port=day + 1)])
    listed: list[str] = []
    source = opened("&from=2026-01-07&to=2026-01-09T00:00")
    assert sorted(map(port, source.blocks())) == [3, 3, 4, 4]

    def note(params: Mapping[str, Any], **_: Any) -> None:
        listed.append(params["Prefix"])

    s3.meta.events.register("provide-client-params.s3.ListObjectsV2", note)
    settings = S3Source.settings.model_validate({"from": "2026-01-07", "to": "2026-01-09"})
    S3Source(f"s3://{BUCKET}", s3, settings)
    days = [name for name in listed if name.endswith(("/05/", "day=05/", "/12/", "day=12/"))]
    assert days == []
    assert any(name.endswith("day=07/") for name in listed)


def test_the_time_in_a_name_decides_to_the_minute(s3: Any) -> None:
    for minute in (0, 5, 10, 15):
        put(s3, key(DAY + timedelta(minutes=minute)), [flow(port=minute + 1)])
    assert list(map(port, opened("&from=2026-01-05T00:05Z&to=2026-01-05T02:15%2B02:00").blocks())) == [6, 11]


def test_accounts_and_regions_can_be_chosen(s3: Any) -> None:
    put(s3, key(DAY), [flow(port=1)])
    put(s3, key(DAY, account=OTHER), [flow(port=2)])
    put(s3, key(DAY, account="333333333333", region="us-east-1", hive=True), [flow(port=3)])
    assert list(map(port, opened(f"&account={OTHER}").blocks())) == [2]
    assert sorted(map(port, opened(f"&account={OTHER}&account={ACCOUNT}").blocks())) == [1, 2]
    assert list(map(port, opened("&log_region=us-east-1").blocks())) == [3]


def test_what_was_read_to_its_end_is_not_fetched_again(s3: Any) -> None:
    etags = {name: put(s3, name, [flow()]) for name in (key(DAY), key(DAY + timedelta(minutes=5)))}
    first, second = etags
    blocks = list(opened().blocks())
    assert [(block.position, block.content) for block in blocks] == [(END, etags[first]), (END, etags[second])]
    s3.delete_object(Bucket=BUCKET, Key=first)
    put(s3, first, [flow(port=9)])
    again = opened()
    again.resume({f"s3://{BUCKET}/{name}": Position(END, etag) for name, etag in etags.items()})
    assert list(map(port, again.blocks())) == [9]
    assert again.consumed == again.size


def test_an_object_that_is_gone_or_broken_is_named_and_the_rest_is_read(s3: Any) -> None:
    names = [key(DAY + timedelta(minutes=5 * step)) for step in range(4)]
    for number, name in enumerate(names):
        put(s3, name, [flow(port=number + 1)] * 2000)
    whole = s3.get_object(Bucket=BUCKET, Key=names[1])["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=names[1], Body=whole[:-20])
    source = opened()
    s3.delete_object(Bucket=BUCKET, Key=names[2])
    put(s3, names[3], [flow(port=5)])
    seen: list[Block] = []
    with pytest.raises(InputError) as caught:
        seen.extend(source.blocks())
    assert port(seen[0]) == 1
    first, second, third = str(caught.value).splitlines()
    assert first.startswith(f"s3://{BUCKET}/{names[1]}: stops being readable after ")
    assert second == f"s3://{BUCKET}/{names[2]}: is not there any more"
    assert third == f"s3://{BUCKET}/{names[3]}: was replaced while it was to be read"
    assert END not in {block.position for block in seen if block.origin.endswith(names[1])}


def test_large_parquet_becomes_several_messages_and_no_row_is_lost(s3: Any) -> None:
    rows = 60_000
    frame = pl.DataFrame(
        {
            "version": pl.Series([2] * rows, dtype=pl.Int32),
            "srcaddr": [f"198.51.{number // 200 % 100}.{number % 200}" for number in range(rows)],
            "dstaddr": ["10.0.0.5"] * rows,
            "srcport": pl.Series([number * 7919 % 65536 for number in range(rows)], dtype=pl.Int32),
            "dstport": pl.Series([number * 104729 % 65536 for number in range(rows)], dtype=pl.Int32),
            "protocol": pl.Series([6] * rows, dtype=pl.Int32),
            "packets": [number * 31337 % 10_007 + 1 for number in range(rows)],
            "bytes": [number * 2_654_435_761 % 1_000_003 + 40 for number in range(rows)],
            "start": [NINE] * rows,
            "end": [NINE + number % 60 for number in range(rows)],
            "action": ["ACCEPT"] * rows,
        }
    )
    sink = io.BytesIO()
    frame.write_parquet(sink, compression="uncompressed")
    s3.put_object(Bucket=BUCKET, Key=key(DAY).replace(".log.gz", ".log.parquet"), Body=sink.getvalue())
    blocks = list(opened().blocks())
    assert len(blocks) > 1
    assert max(len(block.value) for block in blocks) < 2 << 20
    tables = [decode(Message(block.value, block.headers), RecordSettings(), NetworkSettings()) for block in blocks]
    assert sum(len(each.table) for each in tables) == rows == sum(block.lines for block in blocks)
    again = opened()
    again.resume({block.origin: Position(block.position, block.content) for block in blocks[:1]})
    assert [block.value for block in again.blocks()] == [block.value for block in blocks[1:]]


def test_a_format_without_a_header_line_is_named_by_the_place(s3: Any) -> None:
    put(s3, key(DAY), ["1 2"])
    (block,) = opened("&format=srcaddr+dstaddr").blocks()
    assert block.headers == {FORMAT_HEADER: b"srcaddr dstaddr"}


def test_a_role_is_assumed(s3: Any) -> None:
    put(s3, key(DAY), [flow()])
    role = f"arn:aws:iam::{OTHER}:role/reader"
    assert len(list(opened(f"&role={role}&external_id=secret").blocks())) == 1
    sts = client("sts", AwsSettings(region=REGION, role=role), "s3://b")
    assert sts.get_caller_identity()["Arn"].startswith(f"arn:aws:sts::{OTHER}:assumed-role/reader/")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (f"s3://{BUCKET}/nothing?region={REGION}", f"s3://{BUCKET}/nothing: holds no object to read; check the prefix"),
        (f"s3://no-such-bucket/?region={REGION}", "s3://no-such-bucket/: An error occurred (NoSuchBucket)"),
        ("s3:///x", "s3:///x: names no bucket; write s3://bucket/prefix"),
        ("s3://b?from=monday", "s3://b: from: Input should be a valid datetime"),
        ("s3://b?form=x", "s3://b: 'form' is no parameter; did you mean 'format'?"),
        ("s3://b?profile=nobody", "s3://b: The config profile (nobody) could not be found"),
    ],
)
def test_a_place_that_cannot_be_read_is_named(s3: Any, place: str, message: str) -> None:
    del s3
    with pytest.raises(InputError) as caught:
        source_at(place)
    assert str(caught.value).startswith(message)


def test_who_may_not_read_is_told_what_to_check(s3: Any) -> None:
    del s3
    for code, remedy in (("AccessDenied", "credentials"), ("PermanentRedirect", "region")):
        with pytest.raises(InputError, match=f"^s3://b: .*{remedy}"), told("s3://b"):
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")
