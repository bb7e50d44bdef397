from ipaddress import ip_address, ip_network

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.addresses import NetworkSet, halves, host_key, host_keys, parse, scope_salt, written

ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).flatmap(
    lambda address: st.sampled_from([str(address), address.exploded, str(address).upper()])
)
nearly = st.text("0123456789abcdefABCDEF:.%/ -", max_size=45)
odd = st.sampled_from(
    (
        *("", "-", "::", ":::", "::1::", "1::", ":1", "1:", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::"),
        *("::2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8", "12345::", "::ffff:192.0.2.1", "::192.0.2.1"),
        *("1:2:3:4:5:6:192.0.2.1", "fe80::1%eth0", "192.0.2.01", "192.0.2.1 ", "+1.2.3.4", "1.2.3", "1.2.3.4.5"),
        *("256.1.1.1", "1..2.3", "1.2.3.4444", "\u0661.2.3.4"),
    )
)


def plainly(text: str) -> int | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if address.version == 4:
        return int(address) | 0xFFFF << 32
    return None if "%" in text else int(address)


@given(texts=st.lists(st.one_of(st.none(), ipv4, ipv6, nearly, odd), max_size=40))
@settings(max_examples=300, deadline=None)
def test_addresses_are_read_as_ipaddress_reads_them(texts: list[str | None]) -> None:
    high, low = parse(pl.Series(texts, dtype=pl.String))
    found = [None if first is None else first << 64 | second for first, second in zip(high, low, strict=True)]
    assert found == [None if text is None else plainly(text) for text in texts]


@pytest.mark.parametrize("repeats", [1, 2, 50])
def test_addresses_that_repeat_are_read_each_time(repeats: int) -> None:
    texts = [f"10.{number % 7}.{number % 256}.{number // 256}" for number in range(1000)]
    texts += ["192.0.2.1", "192.0.2.10", "192.0.2.1\0", "192.0.2.256", "", "-", "1" * 16, "1" * 60, "1" * 59 + "2"]
    _, low = parse(pl.Series(texts * repeats))
    assert low.to_list() == [plainly(text) for text in texts] * repeats
    texts += [f"2001:db8:{number:x}::1" for number in range(1000)] + ["2001:db8::192.0.2.1", "fe80::1%eth0"]
    high, low = parse(pl.Series(texts * repeats))
    found = [None if first is None else first << 64 | second for first, second in zip(high, low, strict=True)]
    assert found == [plainly(text) for text in texts] * repeats


def test_all_octets_are_read() -> None:
    texts = [f"{octet}.{255 - octet}.{octet}.{octet % 10}" for octet in range(256)]
    _, low = parse(pl.Series(texts))
    assert low.to_list() == [plainly(text) for text in texts]


@given(address=st.ip_addresses())
def test_an_address_is_written_as_it_was_read(address: object) -> None:
    text = str(address)
    mapped = getattr(address, "ipv4_mapped", None)
    assert written(*halves(text)) == (text if mapped is None else str(mapped))


def test_what_is_no_address_has_no_halves() -> None:
    with pytest.raises(ValueError, match=r"'192\.0\.2\.256' is not an IPv4 or IPv6 address"):
        halves("192.0.2.256")


networks = st.one_of(
    st.builds(
        lambda address, length: str(ip_network((address, length), strict=False)),
        st.integers(0, 2**32 - 1),
        st.integers(0, 32),
    ),
    st.builds(
        lambda address, length: str(ip_network((address.to_bytes(16, "big"), length), strict=False)),
        st.integers(0, 2**128 - 1),
        st.integers(0, 128),
    ),
)


@given(texts=st.lists(networks, max_size=4), data=st.data())
@settings(max_examples=200, deadline=None)
def test_a_network_set_holds_what_one_of_its_networks_holds(texts: list[str], data: st.DataObject) -> None:
    known = [ip_network(text) for text in texts]
    inside = [st.ip_addresses(network=network) for network in known]
    drawn = data.draw(st.lists(st.one_of(st.ip_addresses(), *inside), min_size=1, max_size=20))
    found = [address for address in drawn if getattr(address, "ipv4_mapped", None) is None]
    high, low = parse(pl.Series([str(address) for address in found], dtype=pl.String))
    answer = NetworkSet(texts).contains(high.to_numpy(), low.to_numpy())
    assert answer.tolist() == [any(address in network for network in known) for address in found]


def test_whether_a_network_holds_an_address_does_not_depend_on_the_others() -> None:
    high, low = parse(pl.Series(["192.0.2.1", "2001:db8::1"]))
    everything = NetworkSet(["::/0"])
    assert everything.contains(high.to_numpy(), low.to_numpy()).tolist() == [False, True]
    assert everything.contains(high[:1].to_numpy(), low[:1].to_numpy()).tolist() == [False]
    assert NetworkSet(["::ffff:192.0.2.0/120"]).contains(high.to_numpy(), low.to_numpy()).tolist() == [True, False]


@given(addresses=st.lists(st.ip_addresses(), min_size=1, max_size=20), data=st.data())
def test_keys_of_repeated_scopes_are_the_keys_of_each(addresses: list[object], data: st.DataObject) -> None:
    high, low = parse(pl.Series([str(address) for address in addresses]))
    salts = np.array([scope_salt(name) for name in ("", "vpc-1", "vpc-2")], np.uint64)
    scopes = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(addresses), max_size=len(addresses))))
    together = host_keys(salts, scopes, high.to_numpy(), low.to_numpy())
    assert together.tolist() == host_key(salts[scopes], high.to_numpy(), low.to_numpy()).tolist()


def test_keys_never_change() -> None:
    high, low = parse(pl.Series(["10.0.0.5", "2001:db8::1"]))
    salts = np.array([scope_salt("vpc-1"), scope_salt("")], np.uint64)
    assert host_key(salts, high.to_numpy(), low.to_numpy()).tolist() == [KEY_INSIDE, KEY_OUTSIDE]


KEY_INSIDE = 7902590303161613160
KEY_OUTSIDE = 1114074325973020101
