import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import host_key, network_of, parse, scope_salt
from detectors.catalogue import FixedParameters, catalogue
from detectors.examples import records
from detectors.parameters import HostAddresses, OverriddenParameters, Override, parameters_of
from detectors.span import Position, Span
from detectors.statistics.directory import HOSTS
from detectors.watch import END_OF_TIME, Watch
from tests.detectors.records import attempt

CARD = catalogue()["vertical_scan"].card

Host = tuple[str, str]
"""Scope and address."""


def key(host: Host) -> int:
    (high,), (low,) = parse(pl.Series([host[1]]))
    salt = np.array([scope_salt(host[0])], np.uint64)
    return int(host_key(salt, np.array([high], np.uint64), np.array([low], np.uint64))[0])


class Directory:
    """Knows some hosts, and counts how many it was asked for."""

    def __init__(self, *hosts: Host) -> None:
        high, low = parse(pl.Series([address for _, address in hosts], dtype=pl.String))
        self._hosts = pl.DataFrame(
            {"key": [key(host) for host in hosts], "scope": [scope for scope, _ in hosts], "high": high, "low": low},
            schema_overrides={"key": pl.UInt64, "scope": pl.String},
        )
        self.asked: list[int] = []

    def __call__(self, keys: pl.Series) -> pl.DataFrame:
        self.asked.append(len(keys))
        return self._hosts.filter(pl.col("key").is_in(keys.implode()))


def ports(hosts: list[Host], *overrides: Override) -> list[float]:
    """Return how many ports make a vertical scan by each of the hosts."""
    parameters = parameters_of(CARD, {"ports": 15}, overrides, HostAddresses(Directory(*dict.fromkeys(hosts))))
    keys = pl.Series([key(host) for host in hosts], dtype=pl.UInt64)
    return parameters.column("ports", keys).to_list()


def override(*networks: str, ports: float, scope: str | None = None) -> Override:
    return Override(networks, {"vertical_scan": {"ports": ports}}, scope)


HERE, NEAR, FAR, SIX = ("vpc-1", "10.0.9.1"), ("vpc-1", "10.0.9.2"), ("vpc-1", "10.1.0.1"), ("", "2001:db8::1")


def test_hosts_of_a_network_have_another_value_and_all_others_the_usual() -> None:
    assert ports([HERE, FAR, HERE, SIX], override("10.0.9.0/24", ports=60)) == [60, 15, 60, 15]
    assert ports([HERE, SIX], override("2001:db8::/32", ports=60)) == [15, 60]


def test_the_longest_prefix_wins_and_of_equal_ones_the_last() -> None:
    wide, narrow = override("10.0.0.0/8", ports=20), override("10.0.9.1", ports=90)
    for order in ((wide, narrow), (narrow, wide)):
        assert ports([HERE, NEAR, FAR], *order) == [90, 20, 20]
    assert ports([HERE], override("10.0.9.0/24", ports=30), override("10.0.9.0/24", ports=40)) == [40]


def test_a_scope_tells_repeated_addresses_apart() -> None:
    there = ("vpc-2", "10.0.9.1")
    assert ports([HERE, there], override("10.0.9.1", ports=60, scope="vpc-2")) == [15, 60]
    everywhere = override("0.0.0.0/0", "::/0", ports=60, scope="")
    assert ports([HERE, SIX], everywhere) == [15, 60]


def test_networks_of_one_version_hold_no_addresses_of_the_other() -> None:
    assert ports([HERE, SIX], override("::/0", ports=60)) == [15, 60]
    assert ports([HERE, SIX], override("0.0.0.0/0", ports=60)) == [60, 15]


def test_a_host_that_is_not_known_has_the_usual_value() -> None:
    parameters = parameters_of(CARD, {}, [override("0.0.0.0/0", ports=60)], HostAddresses(Directory()))
    assert parameters.column("ports", pl.Series([1, None], dtype=pl.UInt64)).to_list() == [15, 15]


def test_the_least_value_is_that_of_any_host() -> None:
    overrides = [override("10.0.0.0/8", ports=60), override("192.0.2.0/24", ports=4)]
    parameters = parameters_of(CARD, {}, overrides, HostAddresses(Directory()))
    assert (parameters.least("ports"), parameters.least("distributed_ports")) == (4, 60)


def test_a_detector_that_nothing_overrides_pays_nothing() -> None:
    others = Override(("10.0.0.0/8",), {"brute_force": {"burst": 99}})
    assert isinstance(parameters_of(CARD, {}, [others], HostAddresses(Directory())), FixedParameters)


def test_parameters_that_nothing_overrides_look_nothing_up() -> None:
    directory = Directory(HERE)
    parameters = parameters_of(CARD, {}, [override("10.0.9.1", ports=60)], HostAddresses(directory))
    keys = pl.Series([key(HERE)], dtype=pl.UInt64)
    assert parameters.column("distributed_ports", keys).to_list() == [60]
    assert parameters.column("ports", keys[:0]).to_list() == []
    assert directory.asked == []


def test_an_address_is_looked_up_once() -> None:
    directory = Directory(HERE, NEAR, FAR)
    addresses = HostAddresses(directory)
    for overrides in ([override("10.0.9.1", ports=60)], [override("10.0.0.0/8", ports=60)]):
        parameters = parameters_of(CARD, {}, overrides, addresses)
        for hosts in ([HERE], [HERE, NEAR], [NEAR, FAR, HERE]):
            parameters.column("ports", pl.Series([key(host) for host in hosts], dtype=pl.UInt64))
    assert directory.asked == [1, 1, 1]


def test_addresses_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.parameters._REMEMBERED", 1)
    hosts = [HERE, NEAR, FAR, SIX]
    addresses = HostAddresses(Directory(*hosts))
    overrides = [override("10.0.0.0/8", ports=60)]
    parameters = OverriddenParameters(FixedParameters.of(CARD, {}), "vertical_scan", overrides, addresses)
    for asked in ([HERE, NEAR], [FAR, SIX], [HERE, FAR, SIX], hosts):
        keys = pl.Series([key(host) for host in asked], dtype=pl.UInt64)
        assert parameters.column("ports", keys).to_list() == [15 if host == SIX else 60 for host in asked]


NETWORKS = st.sampled_from(
    ["10.0.0.0/8", "10.0.9.0/24", "10.0.9.1", "10.0.9.0/31", "2001:db8::/32", "2001:db8::1", "::/0"]
)
OVERRIDES = st.lists(
    st.builds(
        lambda networks, ports, scope: override(*networks, ports=ports, scope=scope),
        st.lists(NETWORKS, min_size=1, max_size=3),
        st.integers(2, 99),
        st.sampled_from([None, "vpc-1", ""]),
    ),
    max_size=5,
)


@given(OVERRIDES)
def test_values_are_those_that_a_look_at_each_network_gives(overrides: list[Override]) -> None:
    hosts = [HERE, NEAR, FAR, SIX, ("vpc-2", "10.0.9.1"), ("", "203.0.113.1")]
    expected = []
    for scope, address in hosts:
        value, best = 15.0, -1
        for each in overrides:
            lengths = [
                network.prefixlen
                for network in map(network_of, each.networks)
                if network_of(address).network_address in network and each.scope in {None, scope}
            ]
            if lengths and max(lengths) >= best:
                value, best = each.values["vertical_scan"]["ports"], max(lengths)
        expected.append(value)
    assert ports(hosts, *overrides) == expected


def test_a_watch_judges_hosts_by_their_own_values_and_takes_others_at_any_time() -> None:
    watch = Watch({"vertical_scan": catalogue()["vertical_scan"]}, {})
    sources = ("10.0.0.1", "10.0.0.2")
    table = records([attempt(source, "10.0.0.9", 1000 + port) for source in sources for port in range(20)])
    addresses = HostAddresses(watch.known)
    found = []
    for place, overrides in enumerate(([override("10.0.0.1", ports=60)], [])):
        watch.set({"vertical_scan": parameters_of(CARD, {}, overrides, addresses)})
        watch.apply(table, Span(f"{place}", Position(0), Position(1)))
        found.append([each.source for each in watch.look()])
    watch.set({})
    assert watch.advance(END_OF_TIME).detections == []
    assert found == [["10.0.0.2"], ["10.0.0.1", "10.0.0.2"]]


def test_a_watch_knows_hosts_as_long_as_anything_is_kept_of_them() -> None:
    watch = Watch({}, {})
    table = records([attempt("10.0.0.1", "10.0.0.9", 22)])
    watch.apply(table, Span("a", Position(0), Position(1)))
    known = watch.known(pl.Series([table.frame["source_key"][0], 1], dtype=pl.UInt64))
    assert known.schema == HOSTS
    assert (
        known.select("key", "high", "low").rows()
        == table.frame.select("source_key", "source_high", "source_low").rows()
    )
