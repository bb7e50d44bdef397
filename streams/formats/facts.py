"""What several formats say of a finding, and the finding itself does not."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from ipaddress import IPv6Address, ip_address
from typing import Final

from detectors.catalogue import cards
from detectors.finding import NETWORK, Finding

PRODUCT: Final = "Flowhawk"

PROTOCOLS: Final[Mapping[int, str]] = {
    1: "icmp",
    2: "igmp",
    6: "tcp",
    17: "udp",
    47: "gre",
    50: "esp",
    58: "ipv6-icmp",
    89: "ospf",
    132: "sctp",
}
"""Keywords of IANA's protocol numbers, as far as networks in clouds carry them."""


@cache
def product_version() -> str:
    """Return the version of this program."""
    return version("flowhawk")


def title(kind: str) -> str:
    """Name a kind for people; a kind that this version does not know is named by its words.

    >>> title("vertical_scan"), title("of_tomorrow")
    ('Vertical scan', 'Of tomorrow')
    """
    card = cards().get(kind)
    return kind.replace("_", " ").capitalize() if card is None else card.title


def response(kind: str) -> str | None:
    """Say what to do about a kind; None where this version does not know it."""
    card = cards().get(kind)
    return None if card is None else card.response


def statistic(finding: Finding) -> str:
    """Name what `value` counts: evidence says it in words, or by its first number."""
    said = finding.evidence.get("statistic")
    if isinstance(said, str):
        return said
    numbers = (name for name, value in finding.evidence.items() if isinstance(value, int | float))
    return next(numbers, finding.kind).replace("_", " ")


def changed(finding: Finding) -> int:
    """Say up to when a finding tells, in epoch seconds of event time."""
    return max(finding.detected_at, finding.window_end)


def addresses(finding: Finding) -> tuple[str, ...]:
    """List the addresses of both ends, the acting one first."""
    return tuple(address for address in (finding.source, finding.target) if address is not None)


def entity_type(finding: Finding) -> str:
    """Say what a finding is about: a host, an interface or the network."""
    if finding.entity == NETWORK:
        return "Network"
    return "Network interface" if finding.entity == finding.interface_id else "Host"


def is_version_6(address: str) -> bool:
    """Tell an IPv6 address from one of IPv4, and from what is none.

    >>> is_version_6("2001:db8::1"), is_version_6("192.0.2.1"), is_version_6("network")
    (True, False, False)
    """
    try:
        return isinstance(ip_address(address), IPv6Address)
    except ValueError:
        return False


def plain(number: float) -> str:
    """Write a number without a needless fraction.

    >>> plain(240.0), plain(123456789.0), plain(1.5)
    ('240', '123456789', '1.5')
    """
    return str(int(number)) if float(number).is_integer() else repr(float(number))
