"""What is refused: what the parameters say is what is in the records."""

from typing import Any

import polars as pl
import pytest

from streams.generate import Traffic, Truth
from streams.generate.chosen import choose
from tests.streams.generate.written import columns_of

NOISE = 60
"""Records that ordinary traffic adds to refusals of a few minutes at one host, at most."""


def about(count: int) -> Any:
    """Few more than the attempts: one whose packets lie in two intervals has two records."""
    return pytest.approx(1.015 * count, rel=0.015)


def played(text: str, *, expect: bool = True, minutes: int = 60) -> tuple[Truth, pl.DataFrame]:
    traffic = Traffic(
        records_per_minute=600, hosts=120, minutes=minutes, episodes=choose([text], expect=expect), attacks=True
    )
    (label,) = traffic.truth()[:1]
    during = columns_of(traffic).filter(pl.col("end").is_between(label.start, label.end + 60))
    return label, during.filter(pl.col("action") == "REJECT")


@pytest.mark.parametrize(("place", "inside"), [("inside", True), ("inward", False)])
def test_a_misconfigured_client_is_refused_at_an_even_pace(place: str, inside: bool) -> None:
    label, refused = played(f"misconfigured_client:place={place},seconds=300,per_minute=60,targets=3")
    own = refused.filter(pl.col("srcaddr") == label.source)
    assert label.source is not None
    assert (label.source.startswith("10."), label.target) == (inside, None)
    assert (len(own), own["dstaddr"].n_unique(), own["dstport"].unique().to_list()) == (about(300), 3, [5432])
    assert max(own.group_by(pl.col("start") // 60).len()["len"]) <= 64


def test_a_closed_port_refuses_all_clients_of_one_host() -> None:
    label, refused = played("closed_port:clients=20,pause=10,seconds=600")
    own = refused.filter(pl.col("dstaddr") == label.target, pl.col("dstport") == 8443)
    assert (len(own), own["srcaddr"].n_unique(), label.source) == (about(1200), 20, None)


def test_a_burst_of_the_network_is_spread_over_sources_and_hosts() -> None:
    label, refused = played("network_burst:sources=500,targets=40,attempts=2000")
    own = refused.filter(pl.col("dstport") == 7547, pl.col("dstaddr").is_in(refused["dstaddr"].unique()))
    assert (label.source, label.target) == (None, None)
    assert 2000 <= len(own) <= 2000 + NOISE
    assert 40 <= own["dstaddr"].n_unique() <= 52
    assert max(own.group_by("dstaddr").len()["len"]) < 120


def test_an_interface_under_fire_is_refused_at_two_addresses() -> None:
    _, refused = played("interface_under_fire")
    own = refused.filter(pl.col("dstport") == 9443)
    assert own["interface-id"].n_unique() == 1
    assert sorted(own.group_by("type").len().rows()) == [("IPv4", about(400)), ("IPv6", about(400))]


def test_bursty_noise_comes_to_the_same_host_hour_after_hour_and_scatters() -> None:
    traffic = Traffic(
        records_per_minute=600, minutes=120, hosts=120, episodes=choose(["bursty_noise:per_hour=1200"], expect=False)
    )
    labels = traffic.truth()
    assert len({label.target for label in labels}) == 1
    assert len(labels) == 2
    came = columns_of(traffic).filter(pl.col("dstaddr") == labels[0].target, pl.col("action") == "REJECT")
    counts = came.group_by(pl.col("start") // 60).len()["len"]
    mean, variance = counts.mean(), counts.var()
    assert isinstance(mean, float)
    assert isinstance(variance, float)
    assert 20 < mean < 32
    assert variance > 4 * mean


def test_a_locked_down_target_is_checked_all_the_time_and_refuses() -> None:
    label, refused = played("locked_down_target", expect=False)
    own = refused.filter(pl.col("dstaddr") == label.target, pl.col("dstport") == 8081)
    assert (len(own), own["srcaddr"].n_unique()) == (about(2400), 2)


def test_over_ipv6_what_is_ipv6_already_stays() -> None:
    _, refused = played("interface_under_fire:ipv6=1")
    own = refused.filter(pl.col("dstport") == 9443)
    assert (len(own), own["type"].unique().to_list()) == (about(800), ["IPv6"])
