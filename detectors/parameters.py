"""Values of detectors' parameters that are other ones for some hosts."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from detectors.addresses import MAPPED, BoolArray, UInt64Array, host_key, network_of, scope_salt
from detectors.catalogue import FixedParameters
from detectors.contract import Card, Parameters

Directory = Callable[[pl.Series], pl.DataFrame]
"""Returns rows of `detectors.statistics.directory.HOSTS` behind keys, as far as they are known."""

_REMEMBERED: Final = 1 << 18
"""How many keys are remembered with their addresses; when there are more, all are forgotten."""

# The key 0 stands for no host, so that there is always one to point at.
_NO_KEYS: Final[UInt64Array] = np.zeros(1, np.uint64)
_NO_COLUMNS: Final[UInt64Array] = np.zeros((3, 1), np.uint64)

_ALL: Final = (1 << 128) - 1
_HALF: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Override:
    """Other values of some parameters for the hosts of some networks.

    Attributes
    ----------
    networks
        Networks and single addresses.
    values
        Values by kind of detector and name of parameter.
    scope
        Name space that the addresses are in; None for any.
    """

    networks: tuple[str, ...]
    values: Mapping[str, Mapping[str, float]]
    scope: str | None = None


class HostAddresses:
    """The addresses behind keys, looked up once: a key never comes to stand for another address.

    Parameters
    ----------
    directory
        Where they are looked up.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._keys, self._columns = _NO_KEYS, _NO_COLUMNS

    def of(self, keys: pl.Series) -> tuple[BoolArray, UInt64Array]:
        """Return which keys are known, shape (n,), and salt of the scope, high and low half, shape (3, n)."""
        wanted = keys.fill_null(0).to_numpy()
        known, places = self._placed(wanted)
        if not known.all():
            if len(self._keys) > _REMEMBERED:
                self._keys, self._columns = _NO_KEYS, _NO_COLUMNS
                known = np.zeros(len(wanted), np.bool_)
            self._look_up(pl.Series("key", np.unique(wanted[~known & (wanted > 0)])))
            known, places = self._placed(wanted)
        return known, self._columns[:, places]

    def _placed(self, wanted: UInt64Array) -> "tuple[BoolArray, np.ndarray[tuple[int], np.dtype[np.int64]]]":
        places = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        return (self._keys[places] == wanted) & (wanted > 0), places

    def _look_up(self, missing: pl.Series) -> None:
        found = self._directory(missing).unique("key")
        if found.is_empty():
            return
        salts = {scope: scope_salt(scope) for scope in found["scope"].unique()}
        columns = np.stack(
            [
                found["scope"].replace_strict(salts, return_dtype=pl.UInt64).to_numpy(),
                found["high"].to_numpy(),
                found["low"].to_numpy(),
            ]
        )
        keys = np.concatenate([self._keys, found["key"].to_numpy()])
        order = np.argsort(keys, kind="stable")
        self._keys, self._columns = keys[order], np.concatenate([self._columns, columns], axis=1)[:, order]


class _Layer(NamedTuple):
    """The value of a parameter in all networks of one prefix length that one override names."""

    networks: "_Networks"
    salt: np.uint64 | None
    value: float

    def holds(self, salts: UInt64Array, high: UInt64Array, low: UInt64Array) -> BoolArray:
        inside = self.networks.hold(high, low)
        return inside if self.salt is None else inside & (salts == self.salt)


class _Networks:
    """Networks of one length and version."""

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network]) -> None:
        self.length = networks[0].prefixlen
        self._version = networks[0].version
        bits = networks[0].max_prefixlen - self.length
        mask = _ALL >> bits << bits
        self._mask_high, self._mask_low = np.uint64(mask >> 64), np.uint64(mask & _HALF)
        mapped = MAPPED if self._version == 4 else 0
        addresses = [mapped | int(network.network_address) for network in networks]
        high, low = ([address >> 64 for address in addresses], [address & _HALF for address in addresses])
        self._hashes = _hashed(np.array(high, np.uint64), np.array(low, np.uint64))

    def hold(self, high: UInt64Array, low: UInt64Array) -> BoolArray:
        mapped = (high == 0) & (low >> np.uint64(32) == np.uint64(0xFFFF))
        inside = np.isin(_hashed(high & self._mask_high, low & self._mask_low), self._hashes)
        held: BoolArray = inside & (mapped == (self._version == 4))
        return held


class OverriddenParameters:
    """Values that are other ones for some hosts: the longest prefix wins, and of equal ones the last.

    Parameters
    ----------
    fixed
        The values of all other hosts.
    kind
        Kind of the detector.
    overrides
        The other values, in the order of the settings.
    addresses
        The addresses behind keys.
    """

    def __init__(
        self, fixed: FixedParameters, kind: str, overrides: Iterable[Override], addresses: HostAddresses
    ) -> None:
        self._fixed = fixed
        self._addresses = addresses
        self._layers = _layers(kind, overrides)

    def column(self, name: str, keys: pl.Series) -> pl.Series:
        """Return the value of a parameter for each entity; one whose address is not known any more has the usual."""
        column = self._fixed.column(name, keys)
        layers = self._layers.get(name)
        if layers is None or keys.is_empty():
            return column
        values = column.to_numpy().copy()
        known, (salts, high, low) = self._addresses.of(keys)
        for layer in layers:
            values[known & layer.holds(salts, high, low)] = layer.value
        return pl.Series(name, values)

    def least(self, name: str) -> float:
        """Return the lowest value that a parameter has for any host."""
        return min([self._fixed.least(name), *(layer.value for layer in self._layers.get(name, ()))])


def parameters_of(
    card: Card, values: Mapping[str, float], overrides: Sequence[Override], addresses: HostAddresses
) -> Parameters:
    """Bring together what is set for a detector; without overrides it costs what the defaults cost.

    Parameters
    ----------
    card
        The card of the detector.
    values
        Values for all hosts, by name.
    overrides
        Values for some hosts.
    addresses
        The addresses behind keys.
    """
    fixed = FixedParameters.of(card, values)
    concerned = [each for each in overrides if each.values.get(card.kind)]
    return OverriddenParameters(fixed, card.kind, concerned, addresses) if concerned else fixed


def _layers(kind: str, overrides: Iterable[Override]) -> dict[str, list[_Layer]]:
    """Order the values of each parameter so that a later one is stronger."""
    found: dict[str, list[tuple[int, int, _Layer]]] = defaultdict(list)
    for place, override in enumerate(overrides):
        salt = None if override.scope is None else np.uint64(scope_salt(override.scope))
        for networks in _alike(override.networks):
            for name, value in override.values.get(kind, {}).items():
                found[name].append((networks.length, place, _Layer(networks, salt, float(value))))
    return {name: [each[2] for each in sorted(several, key=lambda each: each[:2])] for name, several in found.items()}


def _alike(texts: Iterable[str]) -> list[_Networks]:
    """Group networks by version and length, so that each group is asked at once."""
    found: dict[tuple[int, int], list[IPv4Network | IPv6Network]] = defaultdict(list)
    for network in map(network_of, texts):
        found[network.version, network.prefixlen].append(network)
    return [_Networks(networks) for networks in found.values()]


def _hashed(high: UInt64Array, low: UInt64Array) -> UInt64Array:
    """Hash masked addresses, so that one number stands for both halves."""
    return host_key(np.zeros(len(low), np.uint64), high, low)
