"""Attacks no larger than the limits ask for are found, at whatever second of a pane or of five minutes they begin."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

import pytest

from detectors.examples import START
from tests.detectors.records import Row, attempt, exchange, found

BEGINS = range(0, 300, 7)
"""Each second of a pane comes up modulo 60, and each pane of five minutes."""

FIVE_MINUTES = 300


def moments(begin: int, count: int, seconds: int = FIVE_MINUTES) -> list[int]:
    """So many moments, the first one when it begins and the last one in the last second."""
    return [START + begin + number * (seconds - 1) // (count - 1) for number in range(count)]


def written(address: int, *, six: bool) -> str:
    return str(IPv6Address((0xFD00 << 112) + address) if six else IPv4Address(address))


def outside(begin: int, *, six: bool) -> str:
    return f"2001:db8::{begin + 1:x}" if six else f"198.51.{100 + begin // 250}.{begin % 250 + 1}"


def ports(begin: int, *, six: bool) -> list[Row]:
    target = written(0x0A000001 + begin, six=six)
    ends = enumerate(moments(begin, 15))
    return [attempt(outside(begin, six=six), target, 1000 + number, end=end, start=end) for number, end in ends]


def hosts(begin: int, *, six: bool) -> list[Row]:
    targets = [written(0x0A010000 + number, six=six) for number in range(25)]
    ends = zip(targets, moments(begin, 25), strict=True)
    return [attempt(outside(begin, six=six), target, 445, end=end, start=end) for target, end in ends]


def block(begin: int, *, six: bool) -> list[Row]:
    targets = [written(0x0A010000 + number, six=six) for number in range(3)]
    tried = [(target, 1000 + port) for port in range(15) for target in targets]
    ends = zip(tried, moments(begin, 45), strict=True)
    return [attempt(outside(begin, six=six), target, port, end=end, start=end) for (target, port), end in ends]


def guesses(begin: int, *, six: bool, count: int = 25, seconds: int = FIVE_MINUTES) -> list[Row]:
    source, target = outside(begin, six=six), written(0x0A000001 + begin, six=six)
    return [
        row
        for number, end in enumerate(moments(begin, count, seconds))
        for row in exchange(
            source,
            target,
            22,
            sent=1900 + number % 5 * 30,
            received=2600,
            packets=14,
            client_port=33_000 + number,
            start=max(end - 2, START),
            end=end,
        )
    ]


def steadily(begin: int, *, six: bool) -> list[Row]:
    return guesses(begin, six=six, count=30, seconds=1800)


@pytest.mark.parametrize("six", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize(
    ("kind", "attack"),
    [
        ("vertical_scan", ports),
        ("horizontal_scan", hosts),
        ("horizontal_scan", block),
        ("brute_force", guesses),
        ("brute_force", steadily),
    ],
    ids=lambda given: getattr(given, "__name__", given),
)
def test_an_attack_is_found_wherever_it_begins(kind: str, attack: Callable[..., list[Row]], six: bool) -> None:
    rows = [row for begin in BEGINS for row in attack(begin, six=six)]
    sources = {detection.source for detection in found(kind, rows)}
    assert sources == {outside(begin, six=six) for begin in BEGINS}
