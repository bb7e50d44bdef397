"""Thresholds above or below those in force: what would have been found with others."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from detectors.contract import Card, Need, Parameter, Parameters, View

Float64Array = npt.NDArray[np.float64]


def thresholds(card: Card) -> tuple[Parameter, ...]:
    """Return the parameters of a detector that values are held against, the main one first.

    >>> from detectors.catalogue import cards
    >>> [parameter.name for parameter in thresholds(cards()["vertical_scan"])]
    ['ports', 'distributed_ports']
    """
    return tuple(parameter for parameter in card.parameters if parameter.threshold)


def scaled(parameter: Parameter, values: float | Float64Array, times: float) -> Float64Array:
    """Multiply values of a parameter: whole numbers stay whole, and none falls below the minimum.

    >>> ports = Parameter("ports", 15, "ports", "What.", "Why.", minimum=2)
    >>> scaled(ports, 15, 0.5).item(), scaled(ports, 15, 0.1).item()
    (8.0, 2.0)
    """
    product = np.asarray(values, np.float64) * times
    whole = np.round(product) if isinstance(parameter.default, int) else product
    return np.maximum(whole, parameter.minimum)


class ScaledParameters:
    """Parameters of which some are so many times as high for everybody.

    Parameters
    ----------
    parameters
        The values in force.
    raised
        Those to multiply.
    times
        What to multiply them by.
    """

    def __init__(self, parameters: Parameters, raised: Collection[Parameter], times: float) -> None:
        self._parameters = parameters
        self._raised: Final[Mapping[str, Parameter]] = {parameter.name: parameter for parameter in raised}
        self._times = times

    def column(self, name: str, keys: pl.Series) -> pl.Series:
        """Return the value of a parameter for each entity."""
        values = self._parameters.column(name, keys)
        if name not in self._raised:
            return values
        return pl.Series(name, scaled(self._raised[name], values.to_numpy(), self._times), pl.Float64)

    def least(self, name: str) -> float:
        """Return the lowest value that a parameter has for any entity."""
        least = self._parameters.least(name)
        return scaled(self._raised[name], least, self._times).item() if name in self._raised else least


class LoweredParameters:
    """Parameters of which some are lower for a few hosts, down to nothing, so that detectors speak of them.

    Parameters
    ----------
    parameters
        The values in force.
    names
        Those to lower.
    share
        What part of them is left.
    hosts
        Keys of the hosts, UInt64.
    """

    def __init__(self, parameters: Parameters, names: Collection[str], share: float, hosts: pl.Series) -> None:
        self._parameters = parameters
        self._names = names
        self._share = share
        self._hosts = hosts

    def column(self, name: str, keys: pl.Series) -> pl.Series:
        """Return the value of a parameter for each entity."""
        values = self._parameters.column(name, keys)
        if name not in self._names:
            return values
        share = np.where(keys.is_in(self._hosts.implode()).to_numpy(), self._share, 1)
        return pl.Series(name, values.to_numpy() * share, pl.Float64)

    def least(self, name: str) -> float:
        """Return the lowest value that a parameter has for any entity."""
        return self._parameters.least(name) * (self._share if name in self._names else 1)


class RememberedView:
    """A view that answers what reaches a number from what it has read for a lower one.

    Whoever scores the same pane many times, with the lowest thresholds first, reads each table once.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._read: dict[tuple[Need, str | None], tuple[float, pl.DataFrame]] = {}

    @property
    def pane(self) -> int:
        """Begin of the pane, epoch seconds."""
        return self._view.pane

    def table(self, need: Need, column: str | None = None, least: float = 0) -> pl.DataFrame:
        """Return a statistic, or its rows where a column reaches a number."""
        read, rows = self._read.get((need, column), (None, None))
        if read is None or rows is None or least < read:
            read, rows = self._read[need, column] = least, self._view.table(need, column, least)
        return rows if column is None or least == read or rows.is_empty() else rows.filter(pl.col(column) >= least)

    def addresses(self, keys: Iterable[int]) -> list[str]:
        """Write the addresses behind keys."""
        return self._view.addresses(keys)

    def baseline(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual for hosts."""
        return self._view.baseline(column, keys, panes)

    def peers(self, column: str, keys: pl.Series, panes: int) -> pl.DataFrame:
        """Return what is usual among all own hosts."""
        return self._view.peers(column, keys, panes)

    def destinations(self, hosts: pl.Series, peers: pl.Series) -> pl.DataFrame:
        """Return what is known of outside peers."""
        return self._view.destinations(hosts, peers)

    def forwarders(self, keys: pl.Series) -> pl.Series:
        """Say who forwards packets for outside hosts."""
        return self._view.forwarders(keys)
