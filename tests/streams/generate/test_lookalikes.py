"""What only looks like an attack: what is alike, and what gives it away."""

from functools import cache

import polars as pl
import pytest

from streams.generate import Traffic, Truth
from streams.generate.chosen import choose, known
from tests.streams.generate.written import columns_of

HOUR = Traffic(records_per_minute=1500, episodes=choose(["all"], expect=False))


@cache
def records() -> pl.DataFrame:
    return columns_of(HOUR)


def labelled(name: str) -> Truth:
    (found,) = (label for label in HOUR.truth() if label.id.split("/")[0] == name)
    return found


def during(name: str) -> tuple[Truth, pl.DataFrame]:
    label = labelled(name)
    return label, records().filter(pl.col("end").is_between(label.start, label.end + 60))


def test_each_is_labelled_once_and_none_is_expected() -> None:
    labels = HOUR.truth()
    assert len(labels) == len(known(expect=False)) >= 12
    assert not any(label.expect for label in labels)


def test_backscatter_comes_to_many_ports_with_the_flags_of_answers_and_is_refused() -> None:
    label, logged = during("Backscatter")
    came = logged.filter(pl.col("srcaddr") == label.source, pl.col("dstaddr") == label.target)
    assert came["dstport"].n_unique() == 400
    assert (set(came["tcp-flags"]), set(came["action"]), set(came["srcport"])) == ({18}, {"REJECT"}, {443})
    assert logged.filter(pl.col("dstaddr") == label.source).is_empty()


def test_many_try_the_dead_service_and_nobody_answers() -> None:
    label, logged = during("DeadService")
    tried = logged.filter(pl.col("dstaddr") == label.target)
    assert tried["srcaddr"].n_unique() == 30
    assert tried["dstport"].n_unique() == 1
    assert logged.filter(pl.col("srcaddr") == label.target).is_empty()


def test_the_server_that_is_down_resets() -> None:
    label, logged = during("ServerDown")
    tried = logged.filter(pl.col("srcaddr") == label.source, pl.col("dstaddr") == label.target)
    down = tried.filter(pl.col("dstport").is_in([5433, 6432]), pl.col("tcp-flags") == 2)
    assert down.filter(pl.col("flow-direction") == "egress").height == 200


def test_every_host_that_is_polled_answers() -> None:
    label, logged = during("MonitoringPoll")
    polled = logged.filter(pl.col("srcaddr") == label.source, pl.col("dstport").is_in([22, 161, 443]))
    answered = logged.filter(pl.col("dstaddr") == label.source, pl.col("srcport").is_in([22, 161, 443]))
    asked = set(polled.select("dstaddr", "dstport").rows())
    assert len(asked) > 400
    assert asked == set(answered.select("srcaddr", "srcport").rows())


@pytest.mark.parametrize(
    ("name", "port", "least"), [("ConnectionPool", 3306, 2300), ("CiOverSsh", 22, 300), ("Crawler", 443, 1400)]
)
def test_short_connections_are_many_and_differ_in_what_they_bring(name: str, port: int, least: int) -> None:
    label, logged = during(name)
    brought = logged.filter(pl.col("dstaddr") == label.source, pl.col("srcport") == port).group_by("srcaddr", "dstport")
    volumes = brought.agg(pl.col("bytes").sum())["bytes"]
    assert len(volumes) >= least
    assert volumes.quantile(0.9) > 2.5 * volumes.quantile(0.1)  # type: ignore[operator]  # never empty


def test_most_visits_through_the_gateway_are_answered() -> None:
    label, logged = during("BusyGateway")
    out = logged.filter(pl.col("srcaddr") == label.source, ~pl.col("dstaddr").str.starts_with("10."))
    back = logged.filter(pl.col("dstaddr") == label.source, ~pl.col("srcaddr").str.starts_with("10."))
    assert out.select("dstaddr", "srcport").n_unique() > 4000
    assert back.select("srcaddr", "dstport").n_unique() > 0.95 * out.select("dstaddr", "srcport").n_unique()


def test_most_peers_are_gone_and_most_choose_a_port_of_their_own() -> None:
    label, logged = during("PeerToPeer")
    out = logged.filter(pl.col("srcaddr") == label.source, ~pl.col("dstaddr").str.starts_with("10."))
    ports = out["dstport"].value_counts(sort=True)
    assert (ports["dstport"][0], ports.height > 500) == (6881, True)


def test_the_nightly_backup_is_there_once_a_day_between_the_same_ends() -> None:
    two = Traffic(minutes=1600, hosts=40, records_per_minute=30, episodes=choose(["nightly_backup"], expect=False))
    labels = two.truth()
    assert [label.start - two.start for label in labels] == [180, 86_580]
    assert len({(label.source, label.target) for label in labels}) == 1


def test_the_migration_stays_inside() -> None:
    label, logged = during("InternalMigration")
    assert (label.source, label.target) == (None, None)
    copied = logged.filter(pl.col("dstport") == 22, pl.col("bytes") > 10**7, pl.col("flow-direction") == "egress")
    assert copied["bytes"].sum() > 7 * 10**9
    assert copied["srcaddr"].n_unique() == 4
    assert copied["dstaddr"].str.starts_with("10.").all()


def test_the_update_and_the_download_are_much_that_comes_in() -> None:
    for name, clients in (("SoftwareUpdate", 30), ("LargeDownload", 1)):
        label, logged = during(name)
        came = logged.filter(pl.col("srcaddr") == label.target, pl.col("flow-direction") == "ingress")
        went = logged.filter(pl.col("dstaddr") == label.target, pl.col("flow-direction") == "egress")
        assert came["dstaddr"].n_unique() >= clients
        assert came["bytes"].sum() > 20 * went["bytes"].sum() > 0
