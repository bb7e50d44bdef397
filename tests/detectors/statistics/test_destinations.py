from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from detectors.state import Change, merged
from detectors.statistics.destinations import KEPT_HOURS, LEAST_BYTES, PER_HOST, Destinations
from detectors.statistics.pane import Egress
from tests.detectors.strategies import quick

ONE, OTHER, FAR = 1, 2, (7 << 56) + 1
PEER, SECOND = 901, 902

Sent = Mapping[tuple[int, int], int]


def hour(sent: Sent) -> Egress:
    hosts, peers = (np.array([pair[end] for pair in sent], np.uint64) for end in (0, 1))
    return Egress(hosts, hosts, peers, np.array([*sent.values()], np.int64), np.zeros(len(sent), np.int64))


def learned(*hours: Sent) -> Destinations:
    destinations = Destinations()
    for each in hours:
        destinations.learn(hour(each))
    return destinations


def known(destinations: Destinations, host: int, peer: int) -> tuple[int, int, float, int, int]:
    row: tuple[int, int, float, int, int] = destinations.known(
        np.array([host], np.uint64), np.array([peer], np.uint64)
    ).row(0)
    return row


def test_a_peer_is_known_from_the_first_hour_in_which_it_got_much() -> None:
    destinations = learned({(ONE, PEER): LEAST_BYTES}, {}, {(ONE, PEER): 10 * LEAST_BYTES, (ONE, SECOND): 999_999})
    hours, age, most, others, count = known(destinations, ONE, PEER)
    assert (hours, age, others, count) == (2, 2, 0, 3)
    assert abs(most / (10 * LEAST_BYTES) - 1) <= 1 / 16
    assert known(destinations, ONE, SECOND) == (0, 0, 0, 0, 3)
    assert known(destinations, OTHER, PEER) == (0, 0, 0, 1, 3)


def test_others_that_send_to_a_peer_are_counted_without_the_host_itself() -> None:
    much = {(host, PEER): LEAST_BYTES for host in (ONE, OTHER, FAR)}
    destinations = learned(much)
    assert [known(destinations, host, PEER)[3] for host in (ONE, FAR, 9)] == [2, 2, 3]


def test_nothing_is_known_before_anything_was_learned() -> None:
    assert known(Destinations(), ONE, PEER) == (0, 0, 0, 0, 0)
    assert len(learned({})) == 0


def test_what_was_sent_to_long_ago_is_forgotten() -> None:
    destinations = learned({(ONE, PEER): LEAST_BYTES}, *[{}] * (KEPT_HOURS - 1))
    assert known(destinations, ONE, PEER)[0] == 1
    destinations.learn(hour({}))
    assert known(destinations, ONE, PEER)[0] == 0


def test_a_host_with_too_many_peers_keeps_the_last_and_largest_and_takes_none_from_others() -> None:
    many = {(ONE, 1000 + number): LEAST_BYTES * (1 + number % 3) for number in range(2 * PER_HOST)}
    destinations = learned({(ONE, PEER): 10**12, (OTHER, PEER): LEAST_BYTES}, many)
    assert len(destinations) == PER_HOST + 1
    assert known(destinations, ONE, PEER)[0] == 0
    assert known(destinations, OTHER, PEER)[0] == 1
    kept = [known(destinations, *pair)[0] == 1 for pair, sent in many.items() if sent == 3 * LEAST_BYTES]
    assert all(kept)


hours = st.dictionaries(
    st.tuples(st.sampled_from([ONE, OTHER, FAR]), st.integers(900, 990)), st.integers(0, 10**9), max_size=40
)


@quick
@given(st.lists(st.tuples(hours, st.booleans(), st.booleans()), max_size=6))
def test_what_is_stored_and_taken_up_again_is_the_same(steps: list[tuple[Sent, bool, bool]]) -> None:
    through, stopped = Destinations(), Destinations()
    stored: dict[str, Change] = {}
    for sent, store, restart in steps:
        through.learn(hour(sent))
        stopped.learn(hour(sent))
        if store or restart:
            stored = merged(stored, stopped.changes(whole=not stored))
        if restart:
            stopped = Destinations()
            stopped.restore([Change(name, change.encoded()) for name, change in stored.items()])
            stored = {}
    assert stopped.count == through.count
    assert stopped.shards == through.shards
    for shard in through.shards:
        assert stopped.shard(shard).equals(through.shard(shard))
