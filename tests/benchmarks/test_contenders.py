import pytest

from benchmarks.contenders import alternate, compared
from benchmarks.processes import Run
from benchmarks.tables import table


def test_contenders_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_ROUNDS", "3")
    order: list[str] = []

    def contender(name: str) -> Run:
        order.append(name)
        return Run(1, 1, 1)

    runs = alternate({name: lambda name=name: contender(name) for name in "ab"})  # type: ignore[misc]
    assert order == ["a", "b"] * 3
    assert {name: len(several) for name, several in runs.items()} == {"a": 3, "b": 3}


def test_ratios_are_of_the_same_kind_and_none_is_against_itself() -> None:
    runs = {"fast": [Run(100, 1, 4)], "slow": [Run(10, 1, 1)]}
    found = {each.name: (each.value, dict(each.ratios)) for each in compared(runs, ["slow", "absent"])}
    assert found == {
        "fast": (100, {"slow": 10}),
        "slow": (10, {}),
        "fast, per core": (25, {"slow": 2.5}),
        "slow, per core": (10, {}),
    }


def test_the_table_has_a_column_for_each_contender_that_others_are_compared_with() -> None:
    runs = {"fast": [Run(100, 1, 4)], "slow": [Run(10, 1, 1)]}
    head, rows = table(compared(runs, ["slow"]))
    assert head == ["what", "median", "against slow"]
    assert rows[:2] == [["fast", "100 records/s", "10 times"], ["slow", "10 records/s", ""]]
