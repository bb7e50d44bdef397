"""A part answers of its own hosts alone, and all answers together are what is known."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from detectors.catalogue import catalogue
from detectors.contract import Need
from detectors.examples import START, records, traffic
from detectors.questions import CALLS, NOBODY, REFUSAL, REFUSED, Question, answer
from detectors.route import Part, route
from detectors.span import Position, Span
from detectors.statistics.refusal_sums import INTERFACE, NETWORK, NETWORK_KEY, SOURCE, TARGET
from detectors.table import Table
from detectors.view import PaneView
from detectors.watch import END_OF_TIME, Watch
from tests.detectors.records import attempt

COUNT: Final = 4
ENDS: Final = ("source_key", "destination_key")
OF_ONE_HOST: Final = ("baseline", "peers", "forwarders", "hosts", "known")
"""Questions about hosts that one part answers for each."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A pane as one watch of all shards shows it, and as parts of them do."""

    alone: PaneView
    parts: Sequence[PaneView]
    hosts: pl.Series

    @classmethod
    def of(cls, table: Table) -> "Shown":
        routed = route(table, COUNT)
        parts = [
            _shown(Watch(catalogue(), {}, part=Part(number, COUNT)), routed.get(number, table.rows(0, 0)))
            for number in range(COUNT)
        ]
        hosts = pl.concat([table.flows[end].alias("key") for end in ENDS]).unique().sort()
        return cls(_shown(Watch(catalogue(), {}), table), parts, hosts)

    def answers(self, question: Question) -> list[pl.DataFrame]:
        return [answer(question, view) for view in self.parts]


def _shown(watch: Watch, table: Table) -> PaneView:
    watch.apply(table, Span("test", Position(0), Position(1)))
    watch.reach(END_OF_TIME)
    return watch.prepare(START)


@pytest.fixture(scope="module")
def shown() -> Shown:
    return Shown.of(traffic())


@pytest.fixture(scope="module")
def refusals() -> Shown:
    rows = [
        attempt(f"198.51.100.{source}", f"10.0.0.{target}", 22, action="REJECT", interface_id=f"eni-{target % 3}")
        for target in range(12)
        for source in range(target + 1)
    ]
    return Shown.of(records(rows))


def about(keys: pl.Series) -> pl.DataFrame:
    return keys.alias("key").to_frame()


def same(several: Sequence[pl.DataFrame], expected: pl.DataFrame) -> None:
    assert_frame_equal(pl.concat(several), expected, check_row_order=False)


@pytest.mark.parametrize("table", ["host", "target", "scanned"])
def test_every_row_of_a_table_is_told_by_the_part_of_its_host(shown: Shown, table: str) -> None:
    question = Question("table", table, 3)
    same(shown.answers(question), shown.alone.table(Need(table, 3)))


def test_only_rows_are_told_that_reach_what_was_asked_for(shown: Shown) -> None:
    every = shown.alone.table(Need("host", 1))
    least = float(every["outbound_bytes"].max() or 0)  # type: ignore[arg-type]  # a number, as the column is
    same(
        shown.answers(Question("table", "host", 1, "outbound_bytes", least)),
        every.filter(pl.col("outbound_bytes") >= least),
    )
    assert least > 0


def test_what_spans_parts_is_told_of_however_little_it_is(refusals: Shown) -> None:
    answers = pl.concat(refusals.answers(Question("table", REFUSED, 1, "rejected", 10)))
    assert answers.filter(pl.col("level") < INTERFACE)["rejected"].min() == 10
    summed = answers.group_by("level", "key").agg(pl.col("rejected").sum())
    expected = refusals.alone.table(Need(REFUSED, 1)).filter(
        (pl.col("level") >= INTERFACE) | (pl.col("rejected") >= 10)
    )
    assert_frame_equal(summed, expected.drop("internal"), check_row_order=False, check_column_order=False)


def test_all_refusals_are_told_where_nobody_is_asked_about(refusals: Shown) -> None:
    every = refusals.alone.table(Need(REFUSAL, 1)).drop("most")
    same(refusals.answers(Question("refusals", hosts=NOBODY)), every)
    assert len(every) == 78


@pytest.mark.parametrize(
    ("level", "column"), [(TARGET, "target_key"), (SOURCE, "source_key"), (INTERFACE, "interface_key")]
)
def test_the_refusals_of_somebody_are_told_and_no_others(refusals: Shown, level: int, column: str) -> None:
    every = refusals.alone.table(Need(REFUSAL, 1)).drop("most")
    key = every[column][0]
    asked = pl.DataFrame({"level": [level], "key": [key]}, schema={"level": pl.UInt8, "key": pl.UInt64})
    same(refusals.answers(Question("refusals", hosts=asked)), every.filter(pl.col(column) == key))


def test_of_the_network_alone_no_refusals_are_told(refusals: Shown) -> None:
    schema = {"level": pl.UInt8, "key": pl.UInt64}
    network = pl.DataFrame({"level": [NETWORK], "key": [NETWORK_KEY]}, schema=schema)
    assert all(each.is_empty() for each in refusals.answers(Question("refusals", hosts=network)))


@pytest.mark.parametrize("call", ["baseline", "peers", "forwarders", "known"])
def test_of_each_host_exactly_one_part_speaks(shown: Shown, call: str) -> None:
    answers = shown.answers(Question(call, "outbound_bytes", 5, hosts=about(shown.hosts)))
    keys = pl.concat([each["key"] for each in answers]).sort()
    assert keys.to_list() == shown.hosts.to_list()
    assert sum(each.height > 0 for each in answers) > 1
    for each, view in zip(answers, shown.parts, strict=True):
        assert view.own(each["key"]).all()


@pytest.mark.parametrize("call", ["baseline", "peers", "forwarders"])
def test_an_answer_about_hosts_says_at_which_place_they_were_asked_about(shown: Shown, call: str) -> None:
    hosts = shown.hosts.reverse()
    answers = pl.concat(shown.answers(Question(call, "outbound_bytes", 5, hosts=about(hosts))))
    assert answers.sort("place")["key"].to_list() == hosts.to_list()


def test_hosts_are_told_of_as_one_knows_them_alone(shown: Shown) -> None:
    same(shown.answers(Question("hosts", hosts=about(shown.hosts))), shown.alone.hosts(shown.hosts))
    same(shown.answers(Question("known", hosts=about(shown.hosts))), shown.alone.known(shown.hosts))


def test_about_nobody_nothing_is_told(shown: Shown) -> None:
    for call in OF_ONE_HOST:
        assert all(each.is_empty() for each in shown.answers(Question(call, "outbound_bytes", 5)))


def test_pairs_are_answered_by_every_part_in_their_order(shown: Shown) -> None:
    pairs = pl.DataFrame({"key": shown.hosts[:3], "peer": shown.hosts[3:6]})
    answers = shown.answers(Question("destinations", hosts=pairs))
    assert [each.height for each in answers] == [3] * COUNT
    assert_frame_equal(answers[0], shown.parts[0].destinations(pairs["key"], pairs["peer"]))


def test_those_that_stand_for_all_hosts_are_told_by_their_parts(shown: Shown) -> None:
    same(shown.answers(Question("sampled", "outbound_bytes", 5)), shown.alone.sampled("outbound_bytes", 5))


def test_every_call_is_answered_with_a_table(shown: Shown) -> None:
    for call in CALLS:
        hosts = about(shown.hosts).with_columns(peer=pl.col("key"), level=pl.lit(TARGET, pl.UInt8))
        name = "host" if call == "table" else "outbound_bytes"
        assert answer(Question(call, name, 5, hosts=hosts), shown.alone).width
