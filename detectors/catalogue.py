"""Every detector there is, found by discovery."""

from collections.abc import Mapping
from functools import cache

import polars as pl

import detectors
from detectors.contract import Card, Detector
from detectors.discovery import implementations


@cache
def catalogue() -> Mapping[str, Detector]:
    """Return one detector of each kind, by kind.

    >>> "vertical_scan" in catalogue()
    True
    """
    found = [each() for each in implementations(detectors, Detector)]  # type: ignore[type-abstract]  # mypy issue 4717
    return {each.card.kind: each for each in sorted(found, key=lambda each: each.card.kind)}


def cards() -> Mapping[str, Card]:
    """Return the card of every detector, by kind."""
    return {kind: detector.card for kind, detector in catalogue().items()}


class FixedParameters:
    """One value of each parameter for all entities: the card's defaults, or what the settings say instead.

    >>> from detectors.contract import Parameter
    >>> fixed = FixedParameters({"ports": 15.0})
    >>> fixed.column("ports", pl.Series([1, 2], dtype=pl.UInt64)).to_list()
    [15.0, 15.0]
    """

    def __init__(self, values: Mapping[str, float]) -> None:
        self._values = dict(values)

    @classmethod
    def of(cls, card: Card, overrides: Mapping[str, float]) -> "FixedParameters":
        """Take the defaults of a card, and what was set over them."""
        return cls(
            {parameter.name: float(overrides.get(parameter.name, parameter.default)) for parameter in card.parameters}
        )

    def column(self, name: str, keys: pl.Series) -> pl.Series:
        """Return the value of a parameter, once per entity."""
        return pl.Series(name, [self._values[name]], dtype=pl.Float64).new_from_index(0, len(keys))

    def least(self, name: str) -> float:
        """Return the value of a parameter."""
        return self._values[name]
