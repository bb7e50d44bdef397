"""Findings with anything in their fields."""

from ipaddress import ip_network
from typing import get_args

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from detectors.catalogue import cards
from detectors.finding import SEVERITIES, Direction, Finding, Status


def examples(number: int) -> settings:
    """Draw so many; how long drawing takes says more of the machine than of the strategy."""
    return settings(max_examples=number, suppress_health_check=[HealthCheck.too_slow])


ADDRESSES = st.one_of(
    st.ip_addresses(network=ip_network("192.0.2.0/24")),
    st.ip_addresses(network=ip_network("10.0.0.0/8")),
    st.ip_addresses(network=ip_network("2001:db8::/32")),
).map(str)
TEXTS = st.text(max_size=40)
_SECONDS = st.integers(0, 4_000_000_000)
_NUMBERS = st.floats(0, 1e15) | st.integers(0, 10**12).map(float)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(-1e9, 1e9) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


def findings(addresses: st.SearchStrategy[str] = ADDRESSES) -> st.SearchStrategy[Finding]:
    """Draw findings; texts hold anything that is Unicode."""
    return st.builds(
        Finding,
        kind=st.sampled_from([*cards()]) | st.text(min_size=1, max_size=20),
        severity=st.sampled_from(SEVERITIES),
        provisional=st.booleans(),
        entity=st.one_of(addresses, st.just("network"), st.text(min_size=1, max_size=20)),
        source=st.none() | addresses,
        target=st.none() | addresses,
        ports=st.lists(st.integers(0, 65_535), max_size=4).map(tuple),
        protocol=st.none() | st.integers(0, 255),
        direction=st.sampled_from(get_args(Direction)),
        scope=TEXTS,
        account_id=st.none() | TEXTS,
        vpc_id=st.none() | TEXTS,
        interface_id=st.none() | TEXTS,
        window_start=_SECONDS,
        window_end=_SECONDS,
        first_seen=_SECONDS,
        last_seen=_SECONDS,
        value=_NUMBERS,
        threshold=_NUMBERS,
        baseline=st.none() | _NUMBERS,
        score=st.floats(0, 100),
        summary=TEXTS,
        evidence=st.dictionaries(TEXTS, _JSON, max_size=4),
        mitre=st.lists(st.sampled_from(["T1046", "T1595.001", "T1110", "T1041", "T9999"]), max_size=3).map(tuple),
        detector_version=st.integers(1, 99),
        id=st.text(min_size=1, max_size=24),
        status=st.sampled_from(get_args(Status)),
        detected_at=_SECONDS,
        related=st.lists(st.text(min_size=1, max_size=24), max_size=3).map(tuple),
        superseded_by=st.none() | st.text(min_size=1, max_size=24),
        updates=st.integers(0, 99),
        suppressed_by=st.none() | TEXTS,
        observed=st.booleans(),
    )
