"""Suppressions and policies written by hand."""

from collections.abc import Iterable
from typing import Any

from detectors.suppression import AddressGroup, Policy, Suppression

SCANNER = "198.51.100.7"


def rule(name: str = "ours", **scopes: Any) -> Suppression:
    """Make a suppression; addresses are given as texts."""
    for end in ("sources", "targets", "entities"):
        if scopes.get(end) is not None:
            scopes[end] = AddressGroup(scopes[end])
    return Suppression(name, **scopes)


def policy(*rules: Suppression, observed: Iterable[str] = ()) -> Policy:
    return Policy(rules, frozenset(observed))
