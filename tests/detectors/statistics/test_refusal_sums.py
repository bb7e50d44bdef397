"""What was refused is summed for everybody once, and parts together say what one says alone."""

from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.examples import records
from detectors.route import Part, route
from detectors.statistics import refusal_sums
from detectors.statistics.refusal_sums import (
    INTERFACE,
    LEARNED,
    NETWORK,
    NETWORK_KEY,
    SOURCE,
    SUMS,
    TARGET,
    Sums,
    together,
    with_most,
)
from detectors.statistics.refusals import Refusals
from detectors.table import Table
from tests.detectors import strategies
from tests.detectors.records import at, attempt
from tests.detectors.statistics.refused import kept, refused, sums


def test_sums_of_every_level() -> None:
    rows = [refused(), refused(destination="10.0.0.8"), refused(source="198.51.100.8", interface_id="eni-2")]
    store = kept(records(rows))
    assert [sums(store, level) for level in (TARGET, SOURCE, INTERFACE, NETWORK)] == [[1, 2], [1, 2], [1, 2], [3]]
    table = store.table("refused", at(0), 1)
    assert table.filter(pl.col("level") == NETWORK)["key"].to_list() == [NETWORK_KEY]
    assert table.filter(pl.col("level") == SOURCE)["internal"].to_list() == [False, False]
    assert table.filter(pl.col("level") == TARGET)["internal"].all()


def test_where_no_interface_is_logged_there_is_none() -> None:
    assert sums(kept(records([refused(interface_id=None)])), INTERFACE) == []


def test_what_both_interfaces_tell_counts_by_that_of_the_target() -> None:
    both = [
        refused(source="10.0.0.7", direction=direction, interface_id=name, weight=weight)
        for direction, name, weight in (("egress", "eni-7", 5), ("ingress", "eni-9", 3))
    ]
    assert sums(kept(records(both)), NETWORK) == [3]
    assert sums(kept(records(both[:1])), NETWORK) == [5]


def test_each_row_says_how_much_its_largest_entity_was_refused() -> None:
    rows = [*[refused()] * 4, refused(source="198.51.100.8", destination="10.0.0.8", interface_id="eni-2")]
    store = kept(records(rows))
    assert sorted(store.table("refusal", at(0), 1)["most"]) == [1, 4]
    assert store.table("refusal", at(0), 1, "most", 2)["most"].to_list() == [4]


@strategies.quick
@given(strategies.rows(panes=1), st.sampled_from([1, 2, 3, 7]), st.sampled_from([0, 1, 2, 5]))
def test_parts_tell_together_what_one_tells_alone(rows: list[dict[str, Any]], count: int, least: int) -> None:
    table = records([{**row, "action": "REJECT"} if row["action"] else row for row in rows])
    alone = kept(table)
    parts = [part_of(table, Part(number, count)) for number in range(count)]
    summed = together([each.table("refused", at(0), 1) for each in parts], least)
    assert summed.equals(alone.table("refused", at(0), 1, "rejected", least))
    told = with_most(
        pl.concat([each.table("refusal", at(0), 1).drop("most") for each in parts]), Sums.of(together_all(parts))
    )
    expected = alone.table("refusal", at(0), 1)
    assert told.sort(told.columns).equals(expected.sort(expected.columns))


@pytest.mark.parametrize("part", [Part(0, of=2), Part(1, of=2)])
def test_a_part_tells_of_its_own_hosts_alone(part: Part) -> None:
    rows = [attempt(f"198.51.100.{host}", f"10.0.0.{host}", 22, action="REJECT", end=at(0)) for host in range(20)]
    summed = part_of(records(rows), part).table("refused", at(0), 1)
    keys = summed.filter(pl.col("level") < INTERFACE)["key"].to_numpy()
    assert part.holds(keys).all()
    targets = summed.filter(pl.col("level") == TARGET)["rejected"].sum()
    assert summed.filter(pl.col("level") == NETWORK)["rejected"].to_list() == [targets]


def test_where_nothing_was_refused_there_are_no_sums() -> None:
    assert together([Refusals(part=Part(number, of=2)).table("refused", at(0), 1) for number in range(2)]).is_empty()
    assert Sums.of(SUMS.to_frame()).table().schema == SUMS


def test_baselines_learn_each_level_in_its_column() -> None:
    summed = kept(records([refused(weight=5)])).table("refused", at(0), 1)
    hosts = pl.DataFrame({"key": pl.Series([1], dtype=pl.UInt64), "rejected": [7], "bytes": [3]})
    first, *others = refusal_sums.learned(hosts, summed)
    assert first.columns == ["key", "bytes"]
    for learned, (column, levels) in zip(others, LEARNED.items(), strict=True):
        assert learned.columns == ["key", "internal", column]
        assert learned["key"].to_list() == summed.filter(pl.col("level").is_in(levels))["key"].to_list()
        assert set(learned[column]) == {5}


def part_of(table: Table, part: Part) -> Refusals:
    """Count what one part gets of a table."""
    store = Refusals(part=part)
    store.add(route(table, part.of).get(part.number, table.rows(0, 0)).flows)
    return store


def together_all(parts: Sequence[Refusals]) -> pl.DataFrame:
    return together([each.table("refused", at(0), 1) for each in parts])
