"""The choice of episodes: which there are, and how somebody asks for one in a line."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import Field, replace
from typing import Any

import streams.generate
from detectors.discovery import implementations
from streams.errors import SettingsError, did_you_mean
from streams.generate.episode import Episode

EVERY = "all"
"""Asks for each that there is."""


def known(*, expect: bool) -> Mapping[str, type[Episode]]:
    """Return the episodes by name: the attacks, or what only looks like one.

    >>> "vertical_scan" in known(expect=True), "video_call" in known(expect=False)
    (True, True)
    """
    found = implementations(streams.generate, Episode)  # type: ignore[type-abstract]  # mypy issue 4717
    return {each.name(): each for each in found if each.expect is expect}


def usual(*, expect: bool) -> tuple[Episode, ...]:
    """Return the episodes that are in traffic for which none were chosen."""
    return tuple(each() for each in known(expect=expect).values() if each.usual)


def choose(texts: Iterable[str], *, expect: bool) -> tuple[Episode, ...]:
    """Read what somebody asks for.

    Parameters
    ----------
    texts
        `NAME` or `NAME:PARAMETER=VALUE,...` each, or `all`.
    expect
        Whether attacks are asked for, or what only looks like one.

    Raises
    ------
    SettingsError
        When a name is unknown or a value makes no sense; the nearest name is told.

    Examples
    --------
    >>> slow, = choose(["vertical_scan:ports=40,seconds=3600,place=inside"], expect=True)
    >>> slow.name(), slow.seconds, slow.minute
    ('vertical_scan', 3600, 4)
    """
    there = known(expect=expect)
    return tuple(
        episode
        for text in texts
        for episode in ([each() for each in there.values()] if text == EVERY else [_one(text, there, expect)])
    )


def chosen(attacks: Iterable[str], lookalikes: Iterable[str]) -> tuple[Episode, ...] | None:
    """Read what somebody asks for of both; the usual ones stand in for what nobody asks for, None for both.

    >>> [each.name() for each in chosen(["rejected_spike"], ["video_call"])]
    ['rejected_spike', 'video_call']
    >>> chosen([], []) is None
    True
    """
    attacks, lookalikes = list(attacks), list(lookalikes)
    if not attacks and not lookalikes:
        return None
    return (
        *(choose(attacks, expect=True) if attacks else usual(expect=True)),
        *(choose(lookalikes, expect=False) if lookalikes else usual(expect=False)),
    )


def told_apart(episodes: Iterable[Episode]) -> tuple[Episode, ...]:
    """Give those whose labels would begin alike numbers.

    >>> from streams.generate.scans import SlowScan
    >>> [each.label for each in told_apart([SlowScan(), SlowScan(ports=9), SlowScan(label="x")])]
    ['SlowScan', 'SlowScan-2', 'x']
    """
    counts: Counter[str] = Counter()
    apart = []
    for each in episodes:
        label = each.label or type(each).__name__
        counts[label] += 1
        apart.append(replace(each, label=label if counts[label] == 1 else f"{label}-{counts[label]}"))
    return tuple(apart)


def _one(text: str, there: Mapping[str, type[Episode]], expect: bool) -> Episode:
    name, _, given = text.partition(":")
    what = "attack" if expect else "lookalike"
    if name not in there:
        raise SettingsError(f"{text}: no {what} is called {name!r}{did_you_mean(name, [*there, EVERY])}")
    parameters = there[name].parameters()
    values: dict[str, float | str] = {}
    for pair in filter(None, given.split(",")):
        key, equals, value = pair.partition("=")
        if key not in parameters:
            raise SettingsError(f"{text}: {name} has no parameter {key!r}{did_you_mean(key, parameters)}")
        if not equals:
            raise SettingsError(f"{text}: {key} has no value; write {key}={parameters[key].default}")
        values[key] = _value(text, parameters[key], value, getattr(there[name], key))
    try:
        return there[name](**values)  # type: ignore[arg-type]  # each is of its parameter's type
    except SettingsError as error:
        raise SettingsError(f"{text}: {error}") from error


def _value(text: str, declared: Field[Any], value: str, default: float | str) -> float | str:
    if isinstance(default, str):
        return value
    try:
        return type(default)(value)
    except ValueError as error:
        needed = "a whole number" if isinstance(default, int) else "a number"
        raise SettingsError(f"{text}: {declared.name} is {value!r}, write {needed}") from error
