"""IP addresses as two unsigned 64-bit columns, IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2).

One representation means that IPv4 and IPv6 take the same vector code, and that no address is parsed twice.
"""

from collections.abc import Iterable
from hashlib import blake2b
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors import written_addresses
from detectors.texts import Texts

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MAPPED: Final = written_addresses.MAPPED
"""Low half of an IPv4 address, without the address itself."""

HASH_VERSION: Final = 1
"""Raised whenever `host_key` changes: state written under another version belongs to other shards."""

PRIVATE_NETWORKS: Final = (
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
)
"""Networks whose addresses repeat between VPCs (RFC 1918, RFC 6598, RFC 4193)."""

LOCAL_NETWORKS: Final = ("127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10")
"""Networks whose addresses never leave a link or a machine (RFC 1122, RFC 3927, RFC 4291)."""


def parse(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Turn written addresses into their high and low halves.

    Parameters
    ----------
    text
        Strings, shape (n,). Null stays null.

    Returns
    -------
    tuple of pl.Series
        High and low halves, UInt64, shape (n,). Null where the text is not exactly one address.

    Examples
    --------
    >>> high, low = parse(pl.Series(["192.0.2.1", "2001:db8::1", "192.0.2.256", "-"]))
    >>> [hex(value) if value is not None else None for value in low]
    ['0xffffc0000201', '0x1', None, None]
    >>> [hex(value) if value is not None else None for value in high]
    ['0x0', '0x20010db800000000', None, None]
    """
    high, low, readable = written_addresses.read(Texts.of(text))
    if readable.all():
        return pl.Series("high", high), pl.Series("low", low)
    halves = pl.DataFrame({"high": high, "low": low, "readable": readable})
    read = halves.select(pl.when("readable").then(pl.col(name)) for name in ("high", "low"))
    return read["high"], read["low"]


def written(high: int, low: int) -> str:
    """Write one address the usual way.

    >>> written(0, MAPPED + 0xC0000201), written(0x20010DB8 << 32, 1)
    ('192.0.2.1', '2001:db8::1')
    """
    if high == 0 and low >> 32 == 0xFFFF:
        return str(IPv4Address(low & 0xFFFF_FFFF))
    return str(IPv6Address(high << 64 | low))


def halves(text: str) -> tuple[int, int]:
    """Read one address; the inverse of `written`.

    >>> halves("192.0.2.1") == (0, MAPPED + 0xC0000201)
    True

    Raises
    ------
    ValueError
        When the text is not an address.
    """
    high, low = parse(pl.Series([text], dtype=pl.String))
    if low[0] is None:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address")
    return int(high[0]), int(low[0])


class NetworkSet:
    """Networks, IPv4 and IPv6 alike, that answers for whole columns which addresses lie inside.

    >>> inside = NetworkSet(["192.0.2.0/24", "2001:db8::/32"])
    >>> high, low = parse(pl.Series(["192.0.2.77", "198.51.100.1", "2001:db8:ffff::1"]))
    >>> inside.contains(high.to_numpy(), low.to_numpy()).tolist()
    [True, False, True]

    Raises
    ------
    ValueError
        When a text is not a network, or has bits set behind its prefix.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        # Networks up to this long are a look-up by the first two bytes, whatever their number.
        self._wide = np.zeros(1 << 16, np.bool_)
        self._narrow: list[tuple[np.uint64, np.uint64]] = []
        self._masked: list[tuple[np.uint64, np.uint64, np.uint64, np.uint64]] = []
        for text in networks:
            network = network_of(text)
            if isinstance(network, IPv6Network):
                self._masked.append(_masked(network))
            elif network.prefixlen <= 16:
                first = int(network.network_address) >> 16
                self._wide[first : first + (1 << (16 - network.prefixlen))] = True
            else:
                prefix, mask = int(network.network_address), int(network.netmask)
                self._narrow.append((np.uint64(MAPPED | prefix), np.uint64(_UPPER_HALF | mask)))

    def contains(self, high: UInt64Array, low: UInt64Array) -> BoolArray:
        """Say for each address, shape (n,), whether any of the networks holds it."""
        prefixes = low >> np.uint64(16)
        prefixes -= np.uint64(MAPPED >> 16)
        mapped = prefixes <= np.uint64(0xFFFF)
        if high.any():
            mapped &= high == 0
        prefixes &= np.uint64(0xFFFF)
        inside = self._wide.take(prefixes.view(np.int64))
        for prefix, mask in self._narrow:
            inside |= (low & mask) == prefix
        if mapped.all():
            return inside
        inside &= mapped
        six = ~mapped
        for prefix_high, mask_high, prefix_low, mask_low in self._masked:
            inside |= ((low & mask_low) == prefix_low) & ((high & mask_high) == prefix_high) & six
        return inside


_UPPER_HALF: Final = 0xFFFF_FFFF << 32


def network_of(text: str) -> IPv4Network | IPv6Network:
    """Read a network, or a single address; one of mapped IPv4 addresses is an IPv4 network.

    >>> str(network_of("::ffff:192.0.2.0/120")), str(network_of("2001:db8::1"))
    ('192.0.2.0/24', '2001:db8::1/128')

    Raises
    ------
    ValueError
        When the text is neither, or has bits set behind its prefix.
    """
    network = ip_network(text)
    if isinstance(network, IPv6Network) and network.prefixlen >= 96:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped, network.prefixlen - 96))
    return network


def _masked(network: IPv6Network) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    prefix, mask = int(network.network_address), int(network.netmask)
    half = 0xFFFF_FFFF_FFFF_FFFF
    return np.uint64(prefix >> 64), np.uint64(mask >> 64), np.uint64(prefix & half), np.uint64(mask & half)


def scope_salt(scope: str) -> int:
    """Turn the name of a scope into the number that `host_key` takes; the public scope, "", is 0."""
    return int.from_bytes(blake2b(scope.encode(), digest_size=8).digest(), "big") if scope else 0


def host_key(scope_salt: UInt64Array, high: UInt64Array, low: UInt64Array) -> UInt64Array:
    """Hash hosts, that is addresses inside scopes, to 64 bits: the same in every process, for ever.

    The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Parameters
    ----------
    scope_salt
        One number per scope, see `scope_salt`; 0 is the scope of public addresses. UInt64, shape (n,).
    high, low
        The addresses. UInt64, shape (n,).

    Returns
    -------
    UInt64Array
        Keys, shape (n,). The highest byte of a key is its shard.
    """
    return mix(low + mix(high + mix(scope_salt)))


def host_keys(salts: UInt64Array, scopes: Int64Array, high: UInt64Array, low: UInt64Array) -> UInt64Array:
    """Do what `host_key` does where scopes repeat: `salts[scopes]` are the numbers it takes."""
    begun = mix(salts)
    if not high.any():
        return mix(low + mix(begun).take(scopes))
    return mix(low + mix(high + begun.take(scopes)))


def mix(values: UInt64Array) -> UInt64Array:
    """Scatter numbers over all 64 bits, one to one: the finaliser of SplitMix64. Shape (n,)."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
