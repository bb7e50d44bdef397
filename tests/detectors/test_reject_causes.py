import polars as pl

from detectors.examples import records
from detectors.reject_causes import OVER, causes
from detectors.statistics.refusal_sums import INTERFACE, NETWORK, NETWORK_KEY, SOURCE, TARGET
from detectors.statistics.refusals import Refusals
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt

Told = list[tuple[int, float]]


def refused(count: int, source: str, target: str, port: int = 8080, interface: str = "eni-1") -> list[Row]:
    return [attempt(source, target, port, action="REJECT", end=at(0), interface_id=interface)] * count


def told(rows: list[Row], *, network: bool = True) -> Told:
    """The level and the value of each cause, where 30 are too many for anybody and nothing is usual."""
    store = Refusals()
    store.add(records(rows).flows)
    table = store.table("refusal", at(0), 1)
    everybody = store.table("refused", at(0), 1)
    limits = everybody.select(
        "level",
        "key",
        median=pl.lit(0.0),
        deviation=pl.lit(1.0),
        baseline=pl.lit(0.0),
        threshold=pl.when(pl.col("key") == NETWORK_KEY).then(100.0).otherwise(30.0),
    ).filter(network | (pl.col("level") != NETWORK))
    assert limits.schema == OVER
    return sorted(causes(table, limits).select("level", "value").rows())


def test_nothing_comes_of_nothing() -> None:
    assert told(refused(29, OUTSIDE, INSIDE)) == []


def test_a_host_goes_before_its_source_its_interface_and_the_network() -> None:
    assert told(refused(200, OUTSIDE, INSIDE)) == [(TARGET, 200)]
    assert told(refused(200, OUTSIDE, INSIDE), network=False) == [(TARGET, 200)]


def test_a_source_that_explains_several_hosts_goes_before_them() -> None:
    rows = [row for n in range(4) for row in refused(50, OUTSIDE, f"10.0.0.{n}", interface=f"eni-{n}")]
    assert told(rows) == told(rows, network=False) == [(SOURCE, 200)]


def test_sources_that_share_several_hosts_are_told_by_the_hosts() -> None:
    rows = [
        row
        for n in range(4)
        for source in range(10)
        for row in refused(10, f"198.51.100.{source}", f"10.0.0.{n}", interface=f"eni-{n}")
    ]
    assert told(rows, network=False) == [(TARGET, 100)] * 4
    assert told(rows) == [(NETWORK, 400)]


def test_an_interface_goes_before_hosts_of_which_none_explains_most_of_it() -> None:
    rows = [
        row
        for n in range(5)
        for source in range(10)
        for row in refused(4, f"198.51.100.{source}", f"10.0.0.{n}", interface="eni-7")
    ]
    assert told(rows) == [(INTERFACE, 200)]


def test_each_record_belongs_to_one_cause() -> None:
    rows = [
        *refused(500, OUTSIDE, INSIDE),
        *refused(60, OUTSIDE, "10.0.0.8", 22, "eni-8"),
        *refused(45, "198.51.100.9", "10.0.0.8", 22, "eni-8"),
    ]
    assert told(rows) == [(TARGET, 105), (TARGET, 500)]
