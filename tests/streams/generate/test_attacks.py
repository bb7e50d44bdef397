"""Attacks that are asked for: what their parameters say is what is in the records."""

import numpy as np
import polars as pl
import pytest

from streams.generate import Traffic, Truth
from streams.generate.actors import PLACES
from streams.generate.chosen import choose, known
from streams.generate.reports import AGGREGATION_SECONDS
from tests.streams.generate.written import columns_of

INSIDE = pl.col("dstaddr").str.starts_with("10.")
ATTACKS = sorted(known(expect=True))


def played(*attacks: str, **parameters: int) -> tuple[list[Truth], pl.DataFrame]:
    """Return the labels of attacks and everything that is logged."""
    traffic = Traffic(
        **{"records_per_minute": 600, "hosts": 120} | parameters,  # type: ignore[arg-type]  # all are whole numbers
        episodes=choose(attacks, expect=True),
    )
    return traffic.truth(), columns_of(traffic)


def of(label: Truth, records: pl.DataFrame) -> pl.DataFrame:
    """Return what the actors of a label sent each other while it went on."""
    during = pl.col("end").is_between(label.start, label.end + AGGREGATION_SECONDS)
    ends = [pl.col(name) == value for name, value in (("srcaddr", label.source), ("dstaddr", label.target)) if value]
    return records.filter(during, *ends)


@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_can_be_asked_for_alone_and_is_repeatable(name: str) -> None:
    traffic = Traffic(records_per_minute=600, episodes=choose([name], expect=True))
    labels = traffic.truth()
    assert labels
    assert all(label.expect and traffic.start <= label.start <= label.end < traffic.end for label in labels)
    assert labels == Traffic(records_per_minute=600, episodes=choose([name], expect=True)).truth()
    assert b"".join(traffic.blocks()) == b"".join(traffic.blocks())


@pytest.mark.parametrize("place", PLACES)
def test_a_vertical_scan_is_as_slow_and_from_where_it_was_asked_to_be(place: str) -> None:
    (label,), records = played(f"vertical_scan:ports=30,seconds=3000,place={place},jitter=1")
    scan = of(label, records)
    assert scan["dstport"].n_unique() == 30
    assert label.end - label.start > 2400
    assert label.source is not None
    assert label.target is not None
    assert (label.source.startswith("10."), label.target.startswith("10.")) == {
        "inward": (False, True),
        "inside": (True, True),
        "outward": (True, False),
    }[place]
    per_window = scan.group_by(pl.col("end") // 300).agg(pl.col("dstport").n_unique())["dstport"]
    assert max(per_window.to_list()) <= 8
    assert ("REJECT" in scan["action"]) == (place != "outward")


@pytest.mark.parametrize(("protocol", "number"), [("tcp", 6), ("udp", 17), ("icmp", 1)])
def test_a_horizontal_scan_speaks_its_protocol(protocol: str, number: int) -> None:
    (label,), records = played(f"horizontal_scan:targets=60,protocol={protocol},port=161")
    tried = of(label, records).filter(protocol=number).filter(pl.col("dstport") == (0 if number == 1 else 161), INSIDE)
    assert tried.filter(pl.col("flow-direction") == "egress")["dstaddr"].n_unique() == 60
    answers = records.filter(pl.col("dstaddr") == label.source, pl.col("srcaddr").is_in(tried["dstaddr"].to_list()))
    answered = answers.filter(pl.col("end").is_between(label.start, label.end), pl.col("tcp-flags") != 4)
    assert len(answered.filter(pl.col("srcport") == 161)) == 0


def test_an_outward_scan_goes_through_the_gateway_to_many_outside_hosts() -> None:
    (label,), records = played("horizontal_scan:place=outward,port=23")
    scan = of(label, records).filter(pl.col("dstport") == 23)
    outside = scan.filter(~INSIDE)
    assert outside["dstaddr"].n_unique() == 140
    assert scan.filter(INSIDE)["pkt-dstaddr"].n_unique() == 140


def test_a_block_scan_touches_every_port_of_every_host() -> None:
    (label,), records = played("block_scan:targets=12,ports=15")
    scan = of(label, records).filter(pl.col("flow-direction") == "ingress", pl.col("action") == "REJECT")
    assert (label.kind, label.target) == ("horizontal_scan", None)
    per_host = scan.group_by("dstaddr").agg(pl.col("dstport").n_unique())
    assert len(per_host) == 12
    assert min(per_host["dstport"].to_list()) >= 8
    sent = of(label, records).filter(
        pl.col("flow-direction") == "egress",
        pl.col("dstaddr").is_in(per_host["dstaddr"].to_list()),
        pl.col("dstport").is_in(scan["dstport"].unique().to_list()),
    )
    assert sent.select("dstaddr", "dstport").n_unique() == 12 * 15


def test_no_source_of_a_distributed_scan_tries_many_ports() -> None:
    (label,), records = played("distributed_scan:sources=100,ports=300")
    assert label.source is None
    tried = of(label, records).filter(pl.col("action") == "REJECT")
    per_source = tried.group_by("srcaddr").agg(pl.col("dstport").n_unique())
    assert len(per_source) >= 100
    assert per_source["dstport"].max() == 3
    assert tried["dstport"].n_unique() >= 300


def test_a_slow_scan_of_a_day_is_there_once_and_spread_over_it() -> None:
    (label,), records = played("slow_scan:seconds=86000,ports=200", minutes=1450, records_per_minute=60)
    assert label.kind == "slow_scan"
    per_hour = of(label, records).group_by(pl.col("end") // 3600).agg(pl.col("dstport").n_unique())["dstport"]
    assert len(per_hour) >= 24
    assert max(per_hour.to_list()) <= 12


def test_an_attack_longer_than_an_hour_begins_anew_only_when_it_is_over() -> None:
    labels, _ = played("slow_scan:seconds=7000", minutes=360, records_per_minute=60)
    assert [(label.start - 1_767_603_600) // 3600 for label in labels] == [0, 2, 4]


def test_guesses_are_conversations_that_succeed_and_are_alike() -> None:
    (label,), records = played("brute_force:guesses=200,seconds=900,port=3389")
    asked = of(label, records).filter(pl.col("dstport") == 3389)
    per_guess = asked.group_by("srcport").agg(
        pl.col("packets").sum(), pl.col("bytes").sum(), pl.col("tcp-flags").bitwise_or(), pl.col("action").first()
    )
    assert len(per_guess) == 200
    assert per_guess["packets"].is_between(8, 30).all()
    assert per_guess["bytes"].is_between(1_000, 5_000).all()
    assert set(per_guess["tcp-flags"]) == {3}
    assert set(per_guess["action"]) == {"ACCEPT"}
    answers = records.filter(pl.col("srcaddr") == label.target, pl.col("dstaddr") == label.source)
    assert answers.group_by("dstport").agg(pl.col("bytes").sum())["bytes"].is_between(1_000, 5_000).all()
    assert answers.group_by("dstport").agg(pl.col("packets").sum())["packets"].is_between(8, 30).all()


@pytest.mark.parametrize(
    ("parameters", "sources", "targets"),
    [("sources=80", 80, 1), ("targets=25", 1, 25), ("sources=10,targets=10", 10, 10)],
)
def test_guesses_are_sprayed_over_sources_and_targets(parameters: str, sources: int, targets: int) -> None:
    (label,), records = played(f"brute_force:guesses=400,port=2222,{parameters}")
    guessed = of(label, records).filter(pl.col("dstport") == 2222)
    assert (guessed["srcaddr"].n_unique(), guessed["dstaddr"].n_unique()) == (sources, targets)
    assert ((label.source is None), (label.target is None)) == (sources > 1, targets > 1)
    pairs = guessed.select("srcaddr", "srcport", "dstaddr").unique().group_by("srcaddr", "dstaddr").len()["len"]
    assert (len(pairs), pairs.max()) == (sources * targets, 400 // (sources * targets))


def test_a_sweep_is_followed_by_guesses_where_something_answered_and_both_are_labelled() -> None:
    (sweep, guesses), records = played("sweep_and_guess:targets=50,open=0.1,guesses=100")
    assert (sweep.kind, guesses.kind) == ("horizontal_scan", "brute_force")
    assert sweep.source == guesses.source
    assert sweep.end <= guesses.start
    tried = records.filter(pl.col("srcaddr") == sweep.source, pl.col("dstport") == 22)
    assert tried.filter(pl.col("end") < guesses.start)["dstaddr"].n_unique() == 50
    after = tried.filter(pl.col("end") > guesses.start)
    assert after["dstaddr"].n_unique() == 5
    assert set(after["action"]) == {"ACCEPT"}


def test_an_attack_over_ipv6_is_one_between_ipv6_addresses() -> None:
    (label,), records = played("vertical_scan:ipv6=1,ports=50")
    assert label.target is not None
    assert label.target.startswith("2001:db8:f10:")
    scan = of(label, records)
    assert scan["dstport"].n_unique() == 50
    assert set(scan["type"]) == {"IPv6"}


def test_several_of_a_name_have_other_actors_and_labels_of_their_own() -> None:
    labels, _ = played("vertical_scan", "vertical_scan:ports=20", "vertical_scan:label=calm,seconds=600")
    assert sorted(label.id.split("/")[0] for label in labels) == ["VerticalScan", "VerticalScan-2", "calm"]
    assert len({label.source for label in labels}) == 3


def test_choosing_attacks_changes_nothing_else() -> None:
    calm = columns_of(Traffic(minutes=10, records_per_minute=600, episodes=()))
    scanned = columns_of(
        Traffic(minutes=10, records_per_minute=600, episodes=choose(["vertical_scan:ports=77"], expect=True))
    )
    assert len(calm.join(scanned, on=calm.columns, how="anti", nulls_equal=True)) == 0
    assert len(scanned) - len(calm) >= 77


def test_ten_minutes_of_aggregation_or_the_flags() -> None:
    records = columns_of(Traffic(minutes=60, records_per_minute=1000, hosts=60, aggregation=600, episodes=()))
    length = records["end"] - records["start"]
    assert 500 < np.max(length.to_numpy()) <= 599
    long = records.filter(pl.col("end") - pl.col("start") > 100, pl.col("tcp-flags") == 3)
    assert len(long) > 20
    minute = columns_of(Traffic(minutes=60, records_per_minute=1000, hosts=60, episodes=()))
    assert len(minute.filter(pl.col("end") - pl.col("start") > 60)) == 0
    assert len(records) == pytest.approx(60_000, rel=0.25)


def test_a_part_of_the_conversations_goes_over_ipv6() -> None:
    half, none = (columns_of(Traffic(minutes=8, records_per_minute=3000, ipv6=part, episodes=())) for part in (0.5, 0))
    parts = [len(records.filter(pl.col("type") == "IPv6")) / len(records) for records in (half, none)]
    assert parts[0] == pytest.approx(0.5, abs=0.1)
    assert parts[1] < 0.15
    gone = half.filter(pl.col("type") == "IPv6", pl.col("srcaddr") != pl.col("pkt-srcaddr"))
    assert gone.is_empty()


def test_an_attack_waits_for_its_hour() -> None:
    labels, _ = played("vertical_scan:hour=2,every=2,minute=0", minutes=330, records_per_minute=60)
    assert [(label.start - 1_767_603_600) // 3600 for label in labels] == [2, 4]


def test_what_has_a_label_of_its_own_is_the_same_whatever_else_is_played() -> None:
    (alone,), _ = played("slow_scan:label=mine")
    among, _ = played("slow_scan", "slow_scan:seconds=3000", "slow_scan:label=mine")
    assert alone in among


@pytest.mark.parametrize(
    ("asked", "peers", "protocol", "port"),
    [
        ("exfiltration_burst:bytes=10000000", 1, 6, 443),
        ("exfiltration_burst:bytes=10000000,seconds=60,connections=1,host=workstation", 1, 6, 443),
        ("exfiltration_burst:bytes=10000000,connections=40,targets=8,port=8443", 8, 6, 8443),
        ("exfiltration_burst:bytes=10000000,port=53,protocol=udp", 1, 17, 53),
        ("exfiltration_burst:bytes=10000000,protocol=icmp,host=application server", 1, 1, 0),
        ("exfiltration_burst:bytes=10000000,ipv6=1", 1, 6, 443),
        ("slow_leak:bytes=10000000", 1, 6, 443),
    ],
)
def test_a_leak_sends_what_was_asked_for_and_gets_little(asked: str, peers: int, protocol: int, port: int) -> None:
    (label,), records = played(asked)
    assert label.source is not None
    assert (label.target is None) == (peers > 1)
    sent = of(label, records).filter(
        pl.col("protocol") == protocol, pl.col("dstport") == port, pl.col("flow-direction") == "egress"
    )
    outside = sent if label.target else sent.filter(~INSIDE)
    assert outside["dstaddr"].n_unique() == peers
    assert 9_500_000 <= outside["bytes"].sum() <= 11_500_000
    back = records.filter(pl.col("dstaddr") == label.source, pl.col("srcaddr").is_in(outside["dstaddr"].to_list()))
    assert back["bytes"].sum() * 5 < outside["bytes"].sum()


def test_a_leak_through_the_gateway_is_logged_there_too() -> None:
    (label,), records = played("exfiltration_burst:bytes=20000000,host=worker,gateway=1")
    reached = records.filter(pl.col("dstaddr") == label.target, pl.col("flow-direction") == "egress")
    assert reached["srcaddr"].n_unique() == 2


def test_a_slow_leak_sends_a_little_at_a_time() -> None:
    (label,), records = played("slow_leak:bytes=60000000")
    sent = of(label, records).filter(pl.col("flow-direction") == "egress")
    in_five_minutes = sent.group_by(pl.col("end") // 300).agg(pl.col("bytes").sum())["bytes"]
    assert in_five_minutes.is_between(1, 7_999_999).all()
    assert label.end - label.start > 3000
