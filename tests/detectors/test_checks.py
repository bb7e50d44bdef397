"""Each check catches the detector that breaks what it is about."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar

import polars as pl
import pytest

from detectors import checks
from detectors.checks import CheckError
from detectors.contract import SCORES, Card, Description, Detector, Need, Parameters, View
from detectors.scans import VerticalScan

GOOD = VerticalScan.card
PORTS = GOOD.parameters[0]


class Sound(VerticalScan):
    """Passes every check; the others break one thing each."""


class ChangesStatistics(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        pairs = view.table(self.needs[0])
        pairs.replace_column(pairs.get_column_index("rejected"), pairs["rejected"] + 1)
        return super().score(view, parameters)


class Remembers(VerticalScan):
    """Keeps count of what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        self.asked += 1
        return super().score(view, parameters)

    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        return replace(super().describe(hit, view), evidence={"asked": self.asked})


class Counts(VerticalScan):
    """Says something else each time, whoever asks."""

    numbers: ClassVar[Iterator[int]] = itertools.count(100)

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        return super().score(view, parameters).with_columns(value=pl.lit(float(next(self.numbers))))


class NamesTheWrongHost(VerticalScan):
    """Takes another host for the source each time."""

    numbers: ClassVar[Iterator[int]] = itertools.count()

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        return super().score(view, parameters).with_columns(source_key=pl.col("target_key"), target_key=self._any(view))

    def _any(self, view: View) -> pl.Expr:
        keys = view.table(self.needs[0])["source_key"].unique().sort()
        return pl.lit(keys[next(self.numbers) % len(keys)], pl.UInt64)


class OfWrongType(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        return super().score(view, parameters).with_columns(pl.col("value").cast(pl.Int64))


class WithoutColumn(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        return super().score(view, parameters).drop("baseline")


class WithoutEntity(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        nobody = pl.lit(None, pl.UInt64)
        return super().score(view, parameters).with_columns(source_key=nobody, target_key=nobody)


class LoopsOverHosts(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        failed = [int(each) for each in view.table(self.needs[0])["failed_ports"]]
        return super().score(view, parameters).filter(max(failed, default=0) > 0)


class Mute(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        return super().score(view, parameters).clear()


class SpeaksOfNothing(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        scores = super().score(view, parameters)
        if scores.height:
            return scores
        row = {"source_key": 1, "target_key": 2, "value": 9.0, "threshold": 1.0, "first_seen": 0, "last_seen": 0}
        return pl.DataFrame([row], schema=SCORES)


class ComparesHosts(VerticalScan):
    """Reports whoever fails more often than others do."""

    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        pairs = view.table(self.needs[0])
        return super().score(view, parameters).with_columns(threshold=pl.lit(pairs.height / 2))


class ReadsIpv4Only(VerticalScan):
    def score(self, view: View, parameters: Parameters) -> pl.DataFrame:
        scores = super().score(view, parameters)
        written = view.addresses(scores["source_key"].to_list())
        return scores.filter(pl.Series(["." in each and ":" not in each for each in written], dtype=pl.Boolean))


class ListsEverything(VerticalScan):
    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        said = super().describe(hit, view)
        return replace(said, evidence={"ports": list(range(int(hit["value"]) * 10))})


class ListsAllPorts(VerticalScan):
    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        return replace(super().describe(hit, view), ports=tuple(range(int(hit["value"]))))


class SaysNobody(VerticalScan):
    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        return replace(super().describe(hit, view), summary="somebody scans")


class WithoutEvidence(VerticalScan):
    def describe(self, hit: Mapping[str, Any], view: View) -> Description:
        return replace(super().describe(hit, view), evidence={})


class NeedsWhatIsNot(VerticalScan):
    needs: ClassVar = (Need("pairs", 5),)


class NeedsTooMuch(VerticalScan):
    needs: ClassVar = (Need("pair", 1441),)


class NeedsWhatIsNotRolledUp(VerticalScan):
    needs: ClassVar = (Need("target", 16),)


class SkipsWhatIsNot(VerticalScan):
    skipped_checks: ClassVar = {"check_nothing": "There is no such check."}


class SkipsWithoutReason(VerticalScan):
    skipped_checks: ClassVar = {"check_card": " "}


@pytest.mark.parametrize("check", checks.checks(), ids=lambda check: check.__name__)
def test_a_sound_detector_passes(check: checks.Check) -> None:
    check(Sound())


@pytest.mark.parametrize(
    ("broken", "check", "message"),
    [
        (ChangesStatistics, checks.check_scoring_is_pure, "changes the table 'pair'"),
        (Remembers, checks.check_scoring_is_pure, "changes the detector"),
        (Counts, checks.check_scoring_is_pure, "twice gives different scores"),
        (OfWrongType, checks.check_columns_of_scores, "value of scores is Int64, not Float64"),
        (WithoutColumn, checks.check_columns_of_scores, "no column baseline"),
        (WithoutEntity, checks.check_columns_of_scores, "neither a source nor a target"),
        (LoopsOverHosts, checks.check_scoring_is_vectorised, "for 5,000 more"),
        (Mute, checks.check_reports_its_episode, "nothing in the example traffic is a vertical_scan"),
        (SpeaksOfNothing, checks.check_columns_of_scores, "null in a hit"),
        (SpeaksOfNothing, checks.check_no_records, "there are 1 detections"),
        (ComparesHosts, checks.check_one_host, "without other hosts than"),
        (ComparesHosts, checks.check_many_hosts, "among 5,000 more"),
        (Counts, checks.check_order_of_records, "in another order"),
        (Counts, checks.check_batching, "in batches"),
        (Remembers, checks.check_checkpoints, "evidence: .* with restarts"),
        (ReadsIpv4Only, checks.check_address_families, "1 detections became 0 over IPv6"),
        (ListsEverything, checks.check_words_and_evidence, "evidence takes"),
        (ListsAllPorts, checks.check_words_and_evidence, "500 ports, more than 32"),
        (SaysNobody, checks.check_words_and_evidence, "does not name 198.51.100.7"),
        (WithoutEvidence, checks.check_words_and_evidence, "no evidence"),
        (NamesTheWrongHost, checks.check_identifiers, "other identifiers"),
        (Counts, checks.check_identifiers, "other findings"),
        (NeedsWhatIsNot, checks.check_needs, "no table 'pairs'"),
        (NeedsTooMuch, checks.check_needs, "between 1 and 1440 panes"),
        (NeedsWhatIsNotRolledUp, checks.check_needs, "between 1 and 15 panes"),
        (SkipsWhatIsNot, checks.check_opt_outs, "no check 'check_nothing'"),
        (SkipsWithoutReason, checks.check_opt_outs, "without a reason"),
    ],
)
def test_a_broken_detector_is_caught(broken: type[Detector], check: checks.Check, message: str) -> None:
    with pytest.raises(CheckError, match=message):
        check(broken())


@pytest.mark.parametrize(
    ("card", "message"),
    [
        (replace(GOOD, kind="Vertical-Scan"), "not in snake case"),
        (replace(GOOD, title=" "), "no title"),
        (replace(GOOD, sees="One host tries many ports"), "not a sentence"),
        (replace(GOOD, response=""), "not a sentence"),
        (replace(GOOD, mitre=()), "names no ATT&CK technique"),
        (replace(GOOD, mitre=("T1046.1",)), "'T1046.1' is not an ATT&CK technique"),
        (replace(GOOD, false_positives=()), "looks like it and is not"),
        (replace(GOOD, false_positives=("A scanner",)), "not a sentence"),
        (replace(GOOD, version=0), "versions begin at 1"),
        (replace(GOOD, parameters=(PORTS, PORTS)), "share a name"),
        (replace(GOOD, parameters=(replace(PORTS, name="the ports"),)), "no name for a parameter"),
        (replace(GOOD, parameters=(replace(PORTS, unit=""),)), "no unit"),
        (replace(GOOD, parameters=(replace(PORTS, reason=""),)), "not a sentence"),
        (replace(GOOD, parameters=(replace(PORTS, meaning="Ports"),)), "not a sentence"),
        (replace(GOOD, parameters=(replace(PORTS, default=1),)), "below its minimum"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_incomplete_card_is_caught(card: Card, message: str) -> None:
    broken = type("Broken", (VerticalScan,), {"card": card})
    with pytest.raises(CheckError, match=message):
        checks.check_card(broken())


def test_every_check_function_is_run() -> None:
    written = {name for name in vars(checks) if name.startswith("check_")}
    assert {check.__name__ for check in checks.checks()} == written


def test_the_checks_of_words_need_several_lines_to_complain() -> None:
    class TwoLines(VerticalScan):
        def describe(self, hit: Mapping[str, Any], view: View) -> Description:
            return replace(super().describe(hit, view), summary=f"{hit['source']}\nscans")

    with pytest.raises(CheckError, match="several lines"):
        checks.check_words_and_evidence(TwoLines())
