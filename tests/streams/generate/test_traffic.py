"""The generated lines as a whole: repeatable, ordered, readable."""

import numpy as np
import polars as pl
import pytest

from streams.errors import SettingsError
from streams.generate import Traffic
from streams.generate.text import FORMATS, Version
from streams.records import Message, NetworkSettings, RecordSettings, decode
from tests.streams.generate.written import columns_of, text_of

SMALL = Traffic(minutes=6, hosts=60, records_per_minute=1500)


def test_the_same_seed_gives_the_same_bytes_and_labels() -> None:
    again = Traffic(minutes=6, hosts=60, records_per_minute=1500)
    assert text_of(again) == text_of(SMALL)
    assert again.truth() == SMALL.truth()


def test_reading_twice_gives_the_same_bytes() -> None:
    assert text_of(SMALL) == text_of(SMALL)


def test_another_seed_gives_other_bytes() -> None:
    assert text_of(Traffic(seed=2, minutes=6, hosts=60, records_per_minute=1500)) != text_of(SMALL)


@pytest.mark.parametrize("version", [2, 5])
@pytest.mark.parametrize("hosts", [20, 130])
def test_every_line_is_accepted_by_the_decoder(version: Version, hosts: int) -> None:
    traffic = Traffic(version=version, hosts=hosts, minutes=12, records_per_minute=600)
    text = text_of(traffic)
    decoded = decode(Message(text), RecordSettings(), NetworkSettings())
    assert decoded.refused.rows() == []
    assert len(decoded.table) == text.count(b"\n") - (version == 5)


def test_records_are_ordered_by_their_end_within_the_asked_time() -> None:
    records = columns_of(SMALL)
    assert records["end"].is_sorted()
    assert records["end"].max() == SMALL.end - 1
    assert records.select((pl.col("start") >= SMALL.start).all()).item()


def test_a_record_covers_one_aggregation_interval_of_its_interface_at_most() -> None:
    records = columns_of(SMALL)
    assert records.select((pl.col("end") - pl.col("start")).is_between(0, 59).all()).item()


def test_only_version_5_begins_with_a_header_line() -> None:
    assert text_of(SMALL).split(b"\n", 1)[0].decode() == FORMATS[5]
    first = text_of(Traffic(version=2, minutes=1, hosts=20, records_per_minute=100)).split(b"\n", 1)[0]
    assert first.startswith(b"2 111122223333 eni-")


def test_blocks_hold_whole_lines_of_bounded_size() -> None:
    blocks = list(SMALL.blocks())
    assert len(blocks) > 3
    assert all(block.endswith(b"\n") and len(block) <= 128 * 1024 for block in blocks)


@pytest.mark.parametrize(("hosts", "rate"), [(200, 2_000), (200, 30_000), (30, 500), (3_000, 2_000)])
def test_there_are_about_as_many_records_as_asked_for(hosts: int, rate: int) -> None:
    records = columns_of(Traffic(minutes=10, hosts=hosts, records_per_minute=rate, attacks=False))
    assert len(records) / 10 == pytest.approx(rate, rel=0.2)


def test_slices_are_seamless() -> None:
    # More records a minute than one slice holds make slices of a minute; their seams must not show.
    per_minute = columns_of(Traffic(minutes=4, records_per_minute=110_000, attacks=False))
    counts = per_minute.group_by((pl.col("end") - SMALL.start) // 20).len().sort("end")["len"].to_numpy()
    assert np.all(counts[1:] > 0.8 * np.median(counts))


def test_private_addresses_repeat_in_two_vpcs() -> None:
    records = columns_of(Traffic(minutes=3, records_per_minute=2000))
    reporters = records.filter(pl.col("flow-direction") == "egress", pl.col("srcaddr").str.starts_with("10."))
    by_address = reporters.group_by("srcaddr").agg(pl.col("vpc-id").n_unique())
    assert by_address["vpc-id"].max() == 2


def test_both_ends_of_an_internal_conversation_report_both_directions() -> None:
    records = columns_of(SMALL).filter(pl.col("dstport") == 8443, pl.col("srcaddr").str.starts_with("10."))
    short = records.filter(pl.col("tcp-flags") == 3)
    directions = short.group_by("srcaddr", "srcport", "dstaddr").agg(pl.col("flow-direction").sort())
    pairs = directions.filter(pl.col("flow-direction").list.len() == 2)["flow-direction"].to_list()
    assert len(pairs) > 50
    assert all(pair == ["egress", "ingress"] for pair in pairs)


def test_answers_go_back_through_the_nat_gateway_with_the_far_end_as_packet_address() -> None:
    records = columns_of(SMALL)
    back = records.filter(
        pl.col("flow-direction") == "egress",
        pl.col("srcaddr") != pl.col("pkt-srcaddr"),
        pl.col("dstaddr").str.starts_with("10."),
    )
    assert len(back) > 20
    assert back["srcaddr"].n_unique() == 1
    assert not back["pkt-srcaddr"].str.starts_with("10.").any()


def test_ipv6_hosts_talk() -> None:
    kinds = columns_of(SMALL).group_by("type").agg(pl.col("srcaddr").str.contains(":", literal=True).all())
    assert dict(kinds.rows()) == {"IPv4": False, "IPv6": True}


def test_background_noise_is_refused_at_some_hundreds_an_hour_and_public_address() -> None:
    records = columns_of(Traffic(minutes=30, attacks=False))
    noise = records.filter(pl.col("action") == "REJECT", ~pl.col("srcaddr").str.starts_with("10."))
    per_host = noise.group_by("vpc-id", "dstaddr").len()["len"] * 2
    assert per_host.is_between(150, 500).all()
    assert len(per_host) >= 8


def test_nothing_but_episodes_looks_like_a_scan() -> None:
    records = columns_of(Traffic(minutes=30, attacks=False))
    refused = records.filter((pl.col("action") == "REJECT") | ((pl.col("tcp-flags") == 2) & (pl.col("packets") < 3)))
    window = (pl.col("end") // 300).alias("window")
    ports = refused.group_by(window, "srcaddr", "dstaddr").agg(pl.col("dstport").n_unique())
    hosts = refused.group_by(window, "srcaddr", "dstport").agg(pl.col("dstaddr").n_unique())
    assert max(ports["dstport"].to_list()) <= 3
    assert max(hosts["dstaddr"].to_list()) <= 15


@pytest.mark.parametrize(
    "wrong", [{"hosts": 19}, {"minutes": 0}, {"records_per_minute": 0}, {"seed": -1}, {"version": 3}, {"start": 5}]
)
def test_a_parameter_out_of_range_is_refused_by_name(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Traffic(**wrong)  # type: ignore[arg-type]
