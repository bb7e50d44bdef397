from hypothesis import given
from hypothesis import strategies as st

from detectors.catalogue import catalogue
from detectors.looks import MOST_PANES, Looks


def test_a_pane_is_looked_at_once_for_all_that_was_added_to_it() -> None:
    looks = Looks({"quick": 1})
    looks.add([60, 120])
    looks.add([60])
    assert looks.take() == {60: ["quick"], 120: ["quick"]}
    assert looks.take() == {}


def test_who_has_rested_looks_at_once() -> None:
    looks = Looks({"slow": 3})
    looks.add([60])
    assert looks.take() == {60: ["slow"]}
    looks.add([60])
    assert [looks.take() for _ in range(3)] == [{}, {}, {60: ["slow"]}]
    assert [looks.take() for _ in range(3)] == [{}] * 3
    looks.add([120])
    assert looks.take() == {120: ["slow"]}


def test_the_newest_panes_come_first_and_the_others_next() -> None:
    looks = Looks({"quick": 1})
    looks.add(range(0, 60 * (MOST_PANES + 2), 60))
    assert list(looks.take()) == [*range(120, 60 * (MOST_PANES + 2), 60)]
    assert list(looks.take()) == [0, 60]


def test_closed_panes_are_not_looked_at() -> None:
    looks = Looks({"quick": 1, "slow": 2})
    looks.add([0, 60, 120])
    looks.drop_before(60)
    looks.discard(60)
    assert looks.take() == {120: ["quick", "slow"]}


@given(st.lists(st.sets(st.integers(0, 9)), max_size=30), st.integers(1, 4))
def test_whatever_is_added_is_looked_at_by_everybody(additions: list[set[int]], patience: int) -> None:
    looks = Looks({"quick": 1, "slow": patience})
    seen: dict[str, set[int]] = {"quick": set(), "slow": set()}
    for panes in [*additions, *([set[int]()] * (2 * patience + 2))]:
        looks.add(panes)
        for pane, kinds in looks.take().items():
            for kind in kinds:
                seen[kind].add(pane)
    assert seen["quick"] == seen["slow"] == set().union(*additions)


def test_detectors_look_at_every_look_or_say_otherwise() -> None:
    assert {kind: each.patience for kind, each in catalogue().items() if each.patience != 1} == {
        "brute_force": 3,
        "exfiltration_burst": 3,
    }
