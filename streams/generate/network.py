"""The invented network: two VPCs with the same private addresses, and the Internet around them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Indices = npt.NDArray[np.int64]
"""Places of addresses in the directory of a network."""

SMALLEST: Final = 20
"""Hosts that a VPC needs so that every role has one."""

INTERNAL_IPV6: Final = "2001:db8:f10::/48"
"""Where the network's own IPv6 addresses lie."""

_DOCUMENTATION: Final = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
_PER_SUBNET: Final = 250
"""Hosts of a /24 subnet: AWS keeps the first four addresses and the last one, so .4 to .253 are used."""


class Role(StrEnum):
    """What a host of the network, or an address on the Internet, is there for."""

    LOAD_BALANCER = "load balancer"
    NAT_GATEWAY = "NAT gateway"
    BASTION = "bastion"
    RESOLVER = "resolver"
    MONITOR = "monitor"
    BACKUP = "backup server"
    WEB = "web server"
    APPLICATION = "application server"
    DATABASE = "database"
    CACHE = "cache"
    WORKER = "worker"
    WORKSTATION = "workstation"
    LOAD_BALANCER_IPV6 = "load balancer, IPv6"
    WORKER_IPV6 = "worker, IPv6"
    UNUSED = "private address without a host"
    VISITOR = "visitor of the web site"
    VISITOR_IPV6 = "visitor of the web site, IPv6"
    SITE = "web site outside"
    SITE_IPV6 = "web site outside, IPv6"
    SCANNER = "source of background noise"
    STRANGER = "outside address with a part in an episode"
    CROWD = "one of many outside addresses with a part in an episode"


_SINGLE: Final = {
    Role.LOAD_BALANCER: 2,
    Role.NAT_GATEWAY: 1,
    Role.BASTION: 1,
    Role.RESOLVER: 2,
    Role.MONITOR: 1,
    Role.BACKUP: 1,
}
_SHARES: Final = {
    Role.WEB: 0.2,
    Role.APPLICATION: 0.2,
    Role.DATABASE: 0.1,
    Role.CACHE: 0.1,
    Role.WORKER: 0.2,
    Role.WORKSTATION: 0.2,
}
HOSTS: Final = (*_SINGLE, *_SHARES)
"""Roles with an interface of their own."""

_STAGING: Final = 5
"""One host in so many belongs to the staging VPC, where the network is large enough for one."""


@dataclass(frozen=True, slots=True)
class Vpc:
    """One VPC, with the Internet as seen from it.

    Attributes
    ----------
    name
        What it is for.
    hosts
        How many hosts it has.
    roles
        Addresses by role, those outside included.
    """

    name: str
    hosts: int
    roles: Mapping[Role, Indices]

    def having(self, *roles: Role) -> Indices:
        """Return the addresses that have any of these roles."""
        return np.concatenate([self.roles[role] for role in roles])

    @property
    def public(self) -> Indices:
        """Addresses that the Internet can reach."""
        return np.concatenate([self.roles[Role.LOAD_BALANCER], self.roles[Role.BASTION], self.roles[Role.WEB][:6]])


@dataclass(frozen=True, slots=True)
class Network:
    """Directory of all addresses and interfaces.

    Attributes
    ----------
    text
        Every address as written, String, shape (addresses,).
    interface
        Interface of each address, null outside, UInt32, shape (addresses,).
    interfaces
        One row per interface: `interface_id`, `account_id`, `vpc_id`, and `phase`, the second of the
        aggregation interval at which it begins a new one.
    vpcs
        Production, then staging where the network is large enough.
    twin
        Place of the IPv6 address of the same host, for each IPv4 address of a dual-stack network, else null,
        UInt32, shape (addresses,).
    """

    text: pl.Series
    interface: pl.Series
    interfaces: pl.DataFrame
    vpcs: tuple[Vpc, ...]
    twin: pl.Series

    @classmethod
    def invented(cls, hosts: int, generator: np.random.Generator, *, dual_stack: bool = False) -> "Network":
        """Invent a network.

        Parameters
        ----------
        hosts
            Hosts in all VPCs, at least `SMALLEST`.
        generator
            Where chance comes from.
        dual_stack
            Whether every host, outside too, has an IPv6 address beside its IPv4 address.

        Examples
        --------
        >>> network = Network.invented(200, np.random.default_rng(1))
        >>> [(vpc.name, vpc.hosts) for vpc in network.vpcs]
        [('production', 160), ('staging', 40)]
        """
        staging = hosts // _STAGING if hosts // _STAGING >= SMALLEST else 0
        directory = _Directory(generator)
        outside = _internet(directory, hosts, generator)
        vpcs = [_vpc("production", hosts - staging, directory, outside)]
        if staging:
            vpcs.append(_vpc("staging", staging, directory, outside))
        twin = directory.dual_stack(np.concatenate([vpc.roles[Role.UNUSED] for vpc in vpcs])) if dual_stack else None
        text, interface, interfaces = directory.columns()
        return cls(
            text,
            interface,
            interfaces,
            tuple(vpcs),
            pl.repeat(None, len(text), dtype=pl.UInt32, eager=True) if twin is None else twin,
        )


class _Directory:
    """Collects addresses and interfaces while a network is built."""

    def __init__(self, generator: np.random.Generator) -> None:
        self._generator = generator
        self._texts: list[pl.Series] = []
        self._interfaces: list[pl.Series] = []
        self._frames: list[pl.DataFrame] = []
        self._addresses = 0
        self.count = 0

    def addresses(self, text: pl.Series, interface: pl.Series | None = None) -> Indices:
        """Enter addresses, outside ones unless interfaces are given."""
        self._texts.append(text.rename("text"))
        missing = pl.Series([None], dtype=pl.UInt32).new_from_index(0, len(text))
        self._interfaces.append((missing if interface is None else interface).rename("interface"))
        self._addresses += len(text)
        return np.arange(self._addresses - len(text), self._addresses)

    def interfaces(self, count: int, account_id: str, vpc_id: str) -> pl.Series:
        """Enter interfaces."""
        parts = self._generator.integers(0, 2**34, (count, 2))
        self._frames.append(
            pl.DataFrame(
                {
                    "interface_id": [f"eni-0{high % 2**32:08x}{low % 2**32:08x}" for high, low in parts.tolist()],
                    "phase": self._generator.integers(0, 60, count),
                }
            ).with_columns(account_id=pl.lit(account_id), vpc_id=pl.lit(vpc_id))
        )
        self.count += count
        return pl.Series(np.arange(self.count - count, self.count), dtype=pl.UInt32)

    def dual_stack(self, unused: Indices) -> pl.Series:
        """Enter an IPv6 address for every IPv4 address; return the place of each, null where there is none."""
        text, interface = pl.concat(self._texts), pl.concat(self._interfaces)
        single = np.flatnonzero(~text.str.contains(":", literal=True).to_numpy())
        inside = interface.is_not_null().to_numpy()
        inside[unused] = True
        # Hosts of one's own share subnets of 64 bits, hosts outside have one each.
        own = INTERNAL_IPV6.removesuffix("::/48")
        made = [
            f"{own}:{0x100 + place // _PER_SUBNET:x}::{4 + place % _PER_SUBNET:x}"
            if inside[place]
            else f"2001:db8:{0x4000 + place // 65_536:x}:{place % 65_536:x}::1"
            for place in single.tolist()
        ]
        places = self.addresses(pl.Series(made, dtype=pl.String), interface.gather(single))
        twin = np.full(self._addresses, -1)
        twin[single] = places
        return pl.Series("twin", twin).replace(-1, None).cast(pl.UInt32)

    def columns(self) -> tuple[pl.Series, pl.Series, pl.DataFrame]:
        return pl.concat(self._texts), pl.concat(self._interfaces), pl.concat(self._frames)


def _vpc(name: str, hosts: int, directory: _Directory, outside: Mapping[Role, Indices]) -> Vpc:
    account_id, vpc_id = {
        "production": ("111122223333", "vpc-0a1b2c3d4e5f60718"),
        "staging": ("444455556666", "vpc-0f9e8d7c6b5a40312"),
    }[name]
    roles = dict(outside)
    subnet = 0
    for role, count in _counts(hosts).items():
        interface = directory.interfaces(count, account_id, vpc_id)
        roles[role] = directory.addresses(_private(subnet, count), interface)
        if role is Role.LOAD_BALANCER:
            roles[Role.LOAD_BALANCER_IPV6] = directory.addresses(_own_ipv6(subnet, count), interface)
        if role is Role.WORKER:
            some = (count + 1) // 2
            roles[Role.WORKER_IPV6] = directory.addresses(_own_ipv6(subnet, some), interface[:some])
        subnet += -(-count // _PER_SUBNET)
    roles[Role.UNUSED] = directory.addresses(_private(subnet, _PER_SUBNET))
    return Vpc(name, hosts, roles)


def _counts(hosts: int) -> Mapping[Role, int]:
    """Divide hosts among the roles; rounding goes to the workers."""
    rest = hosts - sum(_SINGLE.values())
    counts = _SINGLE | {role: max(1, int(rest * share)) for role, share in _SHARES.items()}
    counts[Role.WORKER] += hosts - sum(counts.values())
    return counts


def _internet(directory: _Directory, hosts: int, generator: np.random.Generator) -> Mapping[Role, Indices]:
    strangers = [str(address) for network in _DOCUMENTATION for address in IPv4Network(network).hosts()]
    return {
        Role.VISITOR: directory.addresses(_public(max(4000, 4 * hosts), generator)),
        Role.VISITOR_IPV6: directory.addresses(_outside_ipv6(0x1000, 400)),
        Role.SITE: directory.addresses(_public(800, generator)),
        Role.SITE_IPV6: directory.addresses(_outside_ipv6(0x2000, 100)),
        Role.SCANNER: directory.addresses(_public(4000, generator)),
        Role.STRANGER: directory.addresses(pl.Series(generator.permutation(strangers).tolist())),
        Role.CROWD: directory.addresses(_public(8000, generator)),
    }


def _private(subnet: int, count: int) -> pl.Series:
    """Give hosts addresses, through /24 subnets from 10.0.0.0 on.

    >>> _private(1, 251).to_list()[::250]
    ['10.0.1.4', '10.0.2.4']
    """
    host = np.arange(count)
    subnets = subnet + host // _PER_SUBNET
    return _dotted((np.full(count, 10), subnets // 256, subnets % 256, 4 + host % _PER_SUBNET))


def _public(count: int, generator: np.random.Generator) -> pl.Series:
    # First octets without any network that is reserved, private or for documentation.
    first = np.setdiff1d(np.arange(1, 224), [10, 100, 127, 169, 172, 192, 198, 203])
    drawn = generator.choice(first, count), *generator.integers(0, 256, (2, count)), generator.integers(1, 255, count)
    return _dotted(drawn)


def _dotted(octets: Iterable[npt.NDArray[np.int64]]) -> pl.Series:
    columns = [pl.Series(f"octet_{index}", octet) for index, octet in enumerate(octets)]
    return pl.DataFrame(columns).select(text=pl.concat_str(pl.all(), separator="."))["text"]


def _own_ipv6(subnet: int, count: int) -> pl.Series:
    prefix = INTERNAL_IPV6.removesuffix("::/48")
    return pl.Series(
        [f"{prefix}:{subnet + host // _PER_SUBNET + 1:x}::{4 + host % _PER_SUBNET:x}" for host in range(count)]
    )


def _outside_ipv6(prefix: int, count: int) -> pl.Series:
    return pl.Series([f"2001:db8:{prefix + number:x}::{number + 1:x}" for number in range(count)])
