from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.addresses import UInt64Array
from detectors.statistics.first_contacts import FirstContacts
from tests.detectors import strategies

Pairs = list[tuple[int, int]]

hosts = st.sampled_from([1, 2, 7 << 56 | 1, 7 << 56 | 2])
values = st.one_of(st.integers(0, 9), st.sampled_from([1 << 56, 2**64 - 1]))
panes = st.lists(st.lists(st.tuples(hosts, values), max_size=15), max_size=8)


def contacts(cap: int = 1000, expiry: int = 1000, novel: int = 1000) -> FirstContacts:
    return FirstContacts(cap=cap, expiry_seconds=expiry, novel_per_pane=novel)


def split(pairs: Pairs) -> tuple[UInt64Array, UInt64Array]:
    return np.array([entity for entity, _ in pairs], np.uint64), np.array([value for _, value in pairs], np.uint64)


def known(found: FirstContacts, pairs: Pairs) -> Pairs:
    return [pair for pair, novel in zip(pairs, found.novel(*split(pairs)), strict=True) if not novel]


EVERY = [(host, value) for host in (1, 2, 7 << 56 | 1, 7 << 56 | 2) for value in [*range(10), 1 << 56, 2**64 - 1]]


@strategies.quick
@given(panes, st.integers(1, 4))
def test_a_contact_is_novel_until_it_is_learned_and_again_once_it_expired(parts: list[Pairs], expiry: int) -> None:
    found, last_seen = contacts(expiry=expiry), dict[tuple[int, int], int]()
    for pane, pairs in enumerate(parts):
        found.learn(*split(pairs), pane)
        last_seen |= dict.fromkeys(pairs, pane)
        expired = [pair for pair, seen in last_seen.items() if seen < pane - expiry]
        for pair in expired:
            del last_seen[pair]
        assert found.close(pane) == (len(expired), 0)
        assert set(known(found, EVERY)) == set(last_seen)
        assert len(found) == len(last_seen)


@strategies.quick
@given(panes, st.randoms(), st.integers(1, 5), st.integers(1, 3))
def test_what_is_known_does_not_depend_on_the_order_within_a_pane(
    parts: list[Pairs], random: Random, cap: int, novel: int
) -> None:
    first, second = contacts(cap, novel=novel), contacts(cap, novel=novel)
    for pane, pairs in enumerate(parts):
        shuffled = sorted([*pairs, *pairs], key=lambda _: random.random())
        first.learn(*split(pairs), pane)
        second.learn(*split(shuffled), pane)
        assert first.close(pane) == second.close(pane)
        assert first.whole().equals(second.whole())


@strategies.quick
@given(panes, st.integers(1, 5))
def test_a_shard_never_knows_more_than_its_cap_once_a_pane_is_closed(parts: list[Pairs], cap: int) -> None:
    found = contacts(cap)
    for pane, pairs in enumerate(parts):
        before = set(known(found, EVERY)) | set(pairs)
        found.learn(*split(pairs), pane)
        forgotten = found.close(pane)
        after = known(found, EVERY)
        assert forgotten.evicted == len(before) - len(after)
        assert all(sum(entity >> 56 == shard for entity, _ in after) <= cap for shard in (0, 7))


def test_those_seen_least_recently_are_forgotten_first() -> None:
    found = contacts(cap=3)
    for pane, values in enumerate([[1, 2], [3, 4], [1, 5]]):
        found.learn(*split([(9, value) for value in values]), pane)
    assert found.close(2) == (0, 2)
    kept = {value for _, value in known(found, [(9, value) for value in range(9)])}
    assert {1, 5} < kept < {1, 3, 4, 5}


def test_a_scanner_cannot_push_out_what_the_others_learned() -> None:
    found = contacts(cap=200, novel=10)
    others = [(host, value) for host in range(1, 11) for value in range(10)]
    for pane in range(10):
        found.learn(*split([*others, *((99, 1_000 * pane + target) for target in range(500))]), pane)
        found.close(pane)
    assert known(found, others) == others
    assert len(found) == 200


def test_an_entity_with_many_new_values_learns_them_pane_by_pane() -> None:
    found = contacts(novel=4)
    pairs = [(1, value) for value in range(10)]
    sizes = []
    for pane in range(4):
        found.learn(*split(pairs), pane)
        sizes.append(len(found))
    assert sizes == [4, 8, 10, 10]


def test_what_one_entity_learns_in_a_pane_takes_nothing_from_another() -> None:
    found = contacts(novel=4)
    pairs = [(host, value) for value in range(10) for host in (1, 2, 3)]
    found.learn(*split(pairs), 0)
    assert Counter(host for host, _ in known(found, pairs)) == {1: 4, 2: 4, 3: 4}


def test_a_shard_that_is_full_takes_nothing_from_another() -> None:
    found = contacts(cap=3)
    pairs = [(shard << 56 | 1, value) for shard in (0, 7, 255) for value in range(5)]
    found.learn(*split(pairs), 0)
    assert found.close(0).evicted == 6
    assert Counter(host >> 56 for host, _ in known(found, pairs)) == {0: 3, 7: 3, 255: 3}


def test_the_same_value_of_another_entity_is_novel() -> None:
    found = contacts()
    found.learn(*split([(1, 5), (2, 6)]), 0)
    assert found.novel(*split([(1, 6), (2, 5), (5, 1), (1, 5)])).tolist() == [True, True, True, False]


@strategies.quick
@given(panes)
def test_changes_in_their_order_restore_what_is_known(parts: list[Pairs]) -> None:
    found, restored = contacts(cap=6, expiry=2), contacts(cap=6, expiry=2)
    for pane, pairs in enumerate(parts):
        found.learn(*split(pairs), pane)
        found.close(pane)
        removed, frame = found.changes()
        restored.restore(removed, frame)
        assert restored.whole().equals(found.whole())
        assert known(restored, EVERY) == known(found, EVERY)
    from_whole = contacts(cap=6, expiry=2)
    from_whole.restore(np.zeros(0, np.uint64), found.whole())
    assert from_whole.whole().equals(found.whole())


def test_changes_are_only_what_changed() -> None:
    found = contacts()
    found.learn(*split([(1, value) for value in range(100)]), 0)
    found.changes()
    found.learn(*split([(1, 3), (1, 200)]), 60)
    removed, frame = found.changes()
    assert (len(removed), frame["last_seen"].to_list()) == (0, [60, 60])


def test_a_pair_takes_no_more_than_the_stated_bytes() -> None:
    found, random = contacts(cap=10**6, novel=10**6), np.random.default_rng(1)
    for pane in range(100):
        entities, values = random.integers(0, 2**64, (2, 500), np.uint64)
        found.learn(entities, values, pane)
        assert found.nbytes / len(found) <= 62


def test_learning_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing would ever be learned"):
        contacts(novel=0)
