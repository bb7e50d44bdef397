"""IP addresses as two unsigned 64-bit columns, IPv4 mapped into IPv6 (RFC 4291, section 2.5.5.2).

One representation means that IPv4 and IPv6 take the same vector code, and that no address is parsed twice.
"""

from collections.abc import Iterable
from hashlib import blake2b
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network, ip_network
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

UInt64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

MAPPED: Final = 0xFFFF << 32
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
    parts = [pl.col("part").struct.field(f"field_{index}") for index in range(4)]
    octets = (
        text.rename("text")
        .to_frame()
        .with_columns(part=pl.col("text").str.splitn(".", 4))
        .with_columns(
            pl.sum_horizontal(part.str.len_bytes() for part in parts).alias("digits"),
            *(part.cast(pl.UInt8, strict=False).alias(f"octet_{index}") for index, part in enumerate(parts)),
        )
    )
    # Counting the digits again refuses what a cast lets pass: signs and leading zeros.
    written = pl.sum_horizontal(
        pl.lit(1, pl.UInt32) + (pl.col(f"octet_{index}") > 9) + (pl.col(f"octet_{index}") > 99) for index in range(4)
    )
    value = pl.lit(MAPPED, pl.UInt64)
    for index in range(4):
        value = value + pl.col(f"octet_{index}").cast(pl.UInt64) * (1 << (24 - 8 * index))
    complete = pl.all_horizontal(pl.col(f"octet_{index}").is_not_null() for index in range(4))
    parsed = octets.select(
        low=pl.when(complete & (pl.col("digits") == written)).then(value),
        colon=pl.col("text").str.contains(":", literal=True).fill_null(value=False),
    )
    low = parsed["low"]
    high = low * 0
    if parsed["colon"].any():
        return _parse_ipv6(text, high, low)
    return high.rename("high"), low.rename("low")


def _parse_ipv6(text: pl.Series, high: pl.Series, low: pl.Series) -> tuple[pl.Series, pl.Series]:
    written = text.filter(text.str.contains(":", literal=True)).unique()
    values = [_ipv6(each) for each in written]
    halves = pl.DataFrame(
        {
            "text": written,
            "six_high": [None if value is None else value >> 64 for value in values],
            "six_low": [None if value is None else value & 0xFFFF_FFFF_FFFF_FFFF for value in values],
        },
        schema={"text": pl.String, "six_high": pl.UInt64, "six_low": pl.UInt64},
    )
    joined = pl.DataFrame({"text": text, "high": high, "low": low}).join(
        halves, on="text", how="left", maintain_order="left"
    )
    return (
        joined.select(pl.coalesce("high", "six_high").alias("high"))["high"],
        joined.select(pl.coalesce("low", "six_low").alias("low"))["low"],
    )


def _ipv6(text: str) -> int | None:
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return None
    return None if address.scope_id else int(address)


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
        self._masked = [_masked(text) for text in networks]

    def contains(self, high: UInt64Array, low: UInt64Array) -> BoolArray:
        """Say for each address, shape (n,), whether any of the networks holds it."""
        inside = np.zeros(len(low), np.bool_)
        for prefix_high, mask_high, prefix_low, mask_low in self._masked:
            member = (low & mask_low) == prefix_low
            member &= (high & mask_high) == prefix_high
            inside |= member
        return inside


def _masked(text: str) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    network = ip_network(text)
    if isinstance(network, IPv6Network):
        prefix, mask = int(network.network_address), int(network.netmask)
    else:
        prefix = MAPPED | int(network.network_address)
        mask = int(network.netmask) | ((1 << 128) - (1 << 32))
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
    return _mix(low + _mix(high + _mix(scope_salt)))


def _mix(values: UInt64Array) -> UInt64Array:
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    result: UInt64Array = mixed ^ (mixed >> np.uint64(31))
    return result
