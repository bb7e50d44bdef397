"""The labels against the records: what the truth says is really in there."""

from functools import cache

import polars as pl
import pytest

from streams.generate import Traffic, Truth
from tests.streams.generate.written import columns_of

HOUR = Traffic(records_per_minute=1500)


@cache
def records() -> pl.DataFrame:
    return columns_of(HOUR)


def truth(kind: str, *, expect: bool = True, note: str = "") -> Truth:
    (found,) = (
        each for each in HOUR.truth() if each.kind == kind and each.expect is expect and each.note.startswith(note)
    )
    return found


def between(label: Truth) -> pl.DataFrame:
    return records().filter(pl.col("end").is_between(label.start, label.end))


def test_an_hour_has_four_attacks_and_three_lookalikes_in_it() -> None:
    kinds = sorted((label.expect, label.kind) for label in HOUR.truth())
    assert kinds == [
        (False, "exfiltration_burst"),
        (False, "exfiltration_burst"),
        (False, "horizontal_scan"),
        (True, "exfiltration_burst"),
        (True, "horizontal_scan"),
        (True, "rejected_spike"),
        (True, "vertical_scan"),
    ]


def test_an_attack_begins_within_the_first_ten_minutes() -> None:
    assert min(label.start for label in HOUR.truth() if label.expect) < HOUR.start + 600


def test_without_attacks_only_lookalikes_are_left() -> None:
    calm = Traffic(records_per_minute=1500, attacks=False)
    assert [label for label in HOUR.truth() if not label.expect] == calm.truth()


def test_an_episode_that_would_not_end_in_time_is_left_out() -> None:
    assert [label.kind for label in Traffic(minutes=7).truth()] == ["vertical_scan"]
    assert Traffic(minutes=6).truth() == []


def test_every_hour_has_episodes_of_its_own() -> None:
    two = Traffic(minutes=120, records_per_minute=1500).truth()
    assert len(two) == 14
    assert len({label.id for label in two}) == 14


def test_the_vertical_scan_touches_its_ports_and_is_mostly_refused() -> None:
    label = truth("vertical_scan")
    scan = between(label).filter(pl.col("srcaddr") == label.source, pl.col("dstaddr") == label.target)
    assert scan["dstport"].n_unique() >= 150
    assert (scan["action"] == "REJECT").sum() > 0.9 * len(scan)
    assert label.end - label.start <= 180


def test_the_horizontal_scan_touches_its_hosts_and_hardly_any_answers() -> None:
    label = truth("horizontal_scan")
    scan = between(label).filter(pl.col("srcaddr") == label.source, pl.col("dstport") == 445)
    sent = scan.filter(pl.col("flow-direction") == "egress")
    assert label.target is None
    assert sent["dstaddr"].n_unique() >= 120
    assert set(sent["action"]) == {"ACCEPT"}
    assert set(scan["tcp-flags"]) == {2}
    at_targets = scan.filter(pl.col("flow-direction") == "ingress")
    assert (at_targets["action"] == "REJECT").sum() > 0.75 * len(at_targets)


def test_the_exfiltration_sends_its_volume_from_a_host_that_usually_sends_little() -> None:
    label = truth("exfiltration_burst")
    own = records().filter(
        pl.col("srcaddr") == label.source,
        pl.col("vpc-id") == "vpc-0a1b2c3d4e5f60718",
        pl.col("flow-direction") == "egress",
    )
    stolen = own.filter(pl.col("dstaddr") == label.target, pl.col("dstport") == 443)
    usual = own.filter(~pl.col("dstaddr").str.starts_with("10."), pl.col("dstaddr") != label.target)
    assert stolen["bytes"].sum() > 400_000_000
    assert label.end - label.start <= 300
    assert usual["bytes"].sum() < 1_000_000


def test_the_rejected_spike_is_far_above_the_usual_and_comes_from_many() -> None:
    label = truth("rejected_spike")
    refused = records().filter(pl.col("dstaddr") == label.target, pl.col("action") == "REJECT")
    spike = refused.filter(pl.col("end").is_between(label.start, label.end))
    before = refused.filter(pl.col("end") < label.start)
    assert label.source is None
    assert spike["srcaddr"].n_unique() > 3000
    assert len(spike) / 3 > 20 * len(before) / 42
    assert spike.group_by("srcaddr").agg(pl.col("dstport").n_unique())["dstport"].max() == 1


def test_every_site_of_the_busy_client_answers() -> None:
    label = truth("horizontal_scan", expect=False)
    talk = between(label).filter(pl.col("flow-direction") == "ingress", pl.col("srcport") == 443)
    assert talk.filter(pl.col("dstaddr") == label.source)["srcaddr"].n_unique() > 400


def test_the_backup_stays_inside() -> None:
    label = truth("exfiltration_burst", expect=False, note="backup")
    copied = between(label).filter(
        pl.col("srcaddr") == label.source, pl.col("dstaddr") == label.target, pl.col("flow-direction") == "egress"
    )
    assert copied["bytes"].sum() > 1_900_000_000
    assert label.target is not None
    assert label.target.startswith("10.")


def test_the_video_call_sends_as_much_as_it_gets() -> None:
    label = truth("exfiltration_burst", expect=False, note="video")
    call = between(label).filter(pl.col("protocol") == 17)
    sent = call.filter(pl.col("srcaddr") == label.source, pl.col("dstaddr") == label.target)["bytes"].sum()
    received = call.filter(pl.col("dstaddr") == label.source, pl.col("srcaddr") == label.target)["bytes"].sum()
    assert sent / 30 == pytest.approx(15e6, rel=0.1)
    assert received == pytest.approx(sent, rel=0.01)
