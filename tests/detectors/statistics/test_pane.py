from typing import Any

import numpy as np
import pytest
from hypothesis import given

from detectors.examples import records
from detectors.statistics.contacts import KEYS
from detectors.statistics.grouping import combined
from detectors.statistics.pane import Pane
from detectors.statistics.tables import HOST
from tests.detectors import strategies
from tests.detectors.records import INSIDE, OUTSIDE, Row, at, attempt, exchange
from tests.detectors.statistics import oracle, windows
from tests.detectors.statistics.windows import by_key

INNER = "10.0.0.2"
PING: Row = {"source": OUTSIDE, "destination": INSIDE, "protocol": 1, "source_port": 0, "destination_port": 0}
PONG: Row = {**PING, "source": INSIDE, "destination": OUTSIDE}


def of(*rows: Row) -> Pane:
    """The first pane of some records."""
    return windows.pane(records(rows).flows, at(0))


def answers(*rows: Row) -> list[int]:
    """Answers by contact: the ones that outside opened before the others."""
    return of(*rows).contacts.sort("source_internal", "port")["answers"].to_list()


def sent(*rows: Row) -> list[tuple[int, int]]:
    """Bytes out and in of each own host and outside peer."""
    egress = of(*rows).egress
    return list(zip(egress.outbound_bytes.tolist(), egress.inbound_bytes.tolist(), strict=True))


def test_nothing_follows_from_nothing() -> None:
    empty = of()
    assert (empty.contacts.height, len(empty.egress.pairs), empty.failed.tolist(), empty.refused.tolist()) == (
        0,
        0,
        [],
        [],
    )
    assert (empty.hosts.schema, empty.hosts.height) == (HOST, 0)


def test_a_ping_that_came_back_was_answered_either_way() -> None:
    assert answers(PING, PONG, PONG) == [2, 1]


def test_a_ping_that_nothing_came_back_from_was_not_answered() -> None:
    assert answers(PING) == [0]
    assert answers(PING, {**PING, "source": "198.51.100.8"}) == [0, 0]


def test_a_ping_over_ipv6_that_came_back_was_answered() -> None:
    six = {"protocol": 58, "source": "2001:db8::7", "destination": "fd00::9"}
    assert answers({**PING, **six}, {**PONG, **six, "source": "fd00::9", "destination": "2001:db8::7"}) == [1, 1]


def test_a_ping_whose_way_back_was_refused_was_not_answered() -> None:
    assert answers(PING, {**PONG, "action": "REJECT"}) == [0, 1]


def test_what_comes_back_of_a_ping_of_another_pane_does_not_count() -> None:
    assert answers(PING, {**PONG, "end": at(1)}) == [0]


def test_only_pings_are_answered_by_what_the_other_end_sends_of_itself() -> None:
    portless: Row = {"protocol": 47, "source_port": 0, "destination_port": 0}
    assert answers({**PING, **portless}, {**PONG, **portless}) == [0, 0]


def test_between_high_ports_what_came_back_in_the_same_conversation_is_an_answer() -> None:
    there: Row = {"source": OUTSIDE, "source_port": 40_000, "destination": INSIDE, "destination_port": 50_000}
    back: Row = {"source": INSIDE, "source_port": 50_000, "destination": OUTSIDE, "destination_port": 40_000}
    udp: Row = {"protocol": 17, "tcp_flags": None}
    assert answers({**there, **udp}, {**back, **udp}, {**back, **udp, "weight": 10}) == [11, 1]
    assert answers({**there, **udp}, {**back, **udp, "source_port": 50_001}) == [0, 0]


def test_egress_is_outbound_whoever_opened_the_conversation() -> None:
    opened = exchange(INSIDE, OUTSIDE, sent=50, received=7)
    served = exchange(OUTSIDE, INSIDE, sent=3, received=20)
    assert sent(*opened, *served) == [(70, 10)]


def test_egress_takes_only_what_the_own_host_reported() -> None:
    out: Row = {"source": INSIDE, "destination": OUTSIDE, "bytes": 100}
    back: Row = {"source": OUTSIDE, "destination": INSIDE, "bytes": 40}
    assert sent({**out, "direction": "egress"}, {**back, "direction": "ingress"}) == [(100, 40)]
    assert sent({**out, "direction": "ingress"}, {**back, "direction": "egress"}) == []
    assert sent({**out, "direction": "egress"}, {**out, "direction": "ingress"}) == [(100, 0)]


def test_without_directions_the_internal_networks_tell_whose_report_it_is() -> None:
    assert sent({"source": INSIDE, "destination": OUTSIDE, "bytes": 100}) == [(100, 0)]


@pytest.mark.parametrize("direction", [None, "ingress", "egress"])
def test_what_stays_inside_or_outside_is_no_egress(direction: str | None) -> None:
    rows = [*exchange(INSIDE, INNER, direction=direction), *exchange(OUTSIDE, "203.0.113.2", direction=direction)]
    assert sent(*rows) == []


def test_egress_of_a_pane_is_what_was_spread_into_it() -> None:
    upload = {"source": INSIDE, "destination": OUTSIDE, "bytes": 600, "start": at(0, 30), "end": at(2, 30)}
    flows = records([upload]).flows
    assert [windows.pane(flows, at(each)).egress.outbound_bytes.tolist() for each in range(4)] == [
        [150],
        [300],
        [150],
        [],
    ]


def test_pairs_of_egress_are_the_hashes_of_their_ends() -> None:
    egress = of(*exchange(INSIDE, OUTSIDE), *exchange(INNER, "203.0.113.2")).egress
    assert egress.pairs.tolist() == combined(egress.hosts, egress.peers).tolist()
    assert egress.pairs.tolist() == sorted(egress.pairs.tolist())


def test_hosts_tell_what_own_hosts_sent_and_what_targets_refused() -> None:
    rows: list[Row] = [
        *exchange(INSIDE, OUTSIDE, sent=500, received=9),
        *exchange(INSIDE, "203.0.113.2", sent=70, received=9),
        *[attempt(OUTSIDE, INSIDE, port, action="REJECT") for port in (22, 23)],
        attempt(INSIDE, "203.0.113.3", 22, action="REJECT"),
    ]
    hosts = of(*rows).hosts
    assert hosts.schema == HOST
    assert sorted(hosts.select("internal", "outbound_bytes", "rejected").rows()) == [(False, 0, 1), (True, 570, 2)]


def test_a_host_that_neither_sent_nor_refused_is_not_told_of() -> None:
    assert of(attempt(INNER, INSIDE, 22), *exchange(INNER, INSIDE)).hosts.is_empty()


def test_a_long_record_that_was_refused_is_none_of_the_panes_before_its_end() -> None:
    flows = records([attempt(OUTSIDE, INSIDE, 22, start=at(0), end=at(2), action="REJECT")]).flows
    assert [windows.pane(flows, at(each)).hosts.height for each in range(3)] == [0, 0, 1]


@strategies.quick
@given(strategies.rows())
def test_what_follows_from_contacts_is_that_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    flows = records(rows).flows
    expected = oracle.answered(flows.to_dicts())
    for begin in (at(0), at(1), at(2)):
        mine = {key[1:]: contact for key, contact in expected.items() if key[0] == begin}
        pane = windows.pane(flows, begin)
        contacts = by_key(pane.contacts, *KEYS)
        assert {key: contact["answers"] for key, contact in contacts.items()} == {
            key: contact["answers"] for key, contact in mine.items()
        }
        keys = list(pane.contacts.select(KEYS).rows())
        # A port that answered over another protocol is open: that shows in the tables, not in a single contact.
        failed = {key for key, contact in mine.items() if not contact["answers"] and oracle.in_vain(contact)}
        assert {keys[row] for row in pane.failed} == failed >= oracle.failed(mine)
        assert {keys[row] for row in pane.refused} == {key for key, contact in mine.items() if contact["rejected"]}
        assert pane.rejected.tolist() == [mine[key]["rejected"] for key in keys]
        assert pane.target.tolist() == [key[1] for key in keys]
        assert pane.contact.tolist() == sorted(pane.contact.tolist())


@strategies.quick
@given(strategies.rows())
def test_hashes_are_the_same_where_what_they_name_is_the_same(rows: list[dict[str, Any]]) -> None:
    pane = windows.pane(records(rows).flows, at(0))
    for hashes, names in (
        (pane.pair, ("source_key", "target_key")),
        (pane.service, ("source_key", "port")),
        (pane.source, ("source_key",)),
    ):
        named = pane.contacts.select(names).rows()
        assert len(set(zip(hashes.tolist(), named, strict=True))) == len(set(named)) == len(np.unique(hashes))


@strategies.quick
@given(strategies.rows())
def test_egress_and_hosts_are_those_of_a_count_with_dictionaries(rows: list[dict[str, Any]]) -> None:
    flows = records(rows).flows
    contacts = oracle.fold(flows.to_dicts())
    for begin in range(at(-11), at(3), 60):
        pane = windows.pane(flows, begin)
        expected = oracle.egress(flows.to_dicts(), [begin])
        egress = zip(*(column.tolist() for column in pane.egress[1:]), strict=True)
        assert {(host, peer): (out, back) for host, peer, out, back in egress} == expected
        assert len(pane.egress.pairs) == len(expected)
        kept: dict[int, list[int]] = {}
        for (host, _), (out, _) in expected.items():
            kept.setdefault(host, [0, 0])[0] += out
        for (at_pane, _, target, _, _), contact in contacts.items():
            if at_pane == begin and contact["rejected"]:
                kept.setdefault(target, [0, 0])[1] += contact["rejected"]
        hosts = by_key(pane.hosts, "key")
        assert {key: [row["outbound_bytes"], row["rejected"]] for key, row in hosts.items()} == kept
        inside = dict(flows.select("source_key", "source_internal").rows())
        inside |= dict(flows.select("destination_key", "destination_internal").rows())
        assert all(row["internal"] == inside[key] for key, row in hosts.items())
