"""Checks that every detector passes: what the contract promises, tried on example traffic.

A check is a function that takes a detector and raises `CheckError` where the detector breaks the contract.
`Detector.skipped_checks` names those that a detector cannot pass, and says why.
"""

import copy
import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final

import polars as pl

from detectors.addresses import parse
from detectors.catalogue import FixedParameters
from detectors.contract import SCORES, Detector
from detectors.examples import LAST_PANE, traffic
from detectors.finding import Detection, Finding
from detectors.incidents import Incidents
from detectors.snapshot import Snapshot
from detectors.span import Position, Span
from detectors.statistics import login_windows, refusals
from detectors.statistics.contacts import PANE_SECONDS
from detectors.statistics.rollup import SHORT_PANES, TIERS
from detectors.statistics.rollup import TABLES as ROLLED_UP
from detectors.statistics.window import TABLES
from detectors.table import Table
from detectors.watch import END_OF_TIME, Watch

Check = Callable[[Detector], None]

_EVIDENCE_BYTES: Final = 4096
_SUMMARY_CHARACTERS: Final = 200
_PORTS: Final = 32


class CheckError(AssertionError):
    """A detector breaks the contract."""


def checks() -> list[Check]:
    """Return every check there is.

    >>> from detectors.catalogue import catalogue
    >>> checks()[0](catalogue()["vertical_scan"])
    """
    return [
        check_card,
        check_needs,
        check_opt_outs,
        check_columns_of_scores,
        check_scoring_is_pure,
        check_scoring_is_vectorised,
        check_reports_its_episode,
        check_no_records,
        check_one_host,
        check_many_hosts,
        check_order_of_records,
        check_batching,
        check_address_families,
        check_checkpoints,
        check_words_and_evidence,
        check_identifiers,
    ]


def check_card(detector: Detector) -> None:
    """Require a complete card: names, units, reasons, sentences, technique identifiers."""
    card = detector.card
    _require(re.fullmatch(r"[a-z]+(_[a-z]+)*", card.kind), f"kind {card.kind!r} is not in snake case")
    _require(card.title.strip(), "the card has no title")
    _require(card.mitre, "the card names no ATT&CK technique")
    for technique in card.mitre:
        _require(re.fullmatch(r"T\d{4}(\.\d{3})?", technique), f"{technique!r} is not an ATT&CK technique")
    _require(card.false_positives, "the card says nothing of what looks like it and is not")
    _require(card.version >= 1, "versions begin at 1")
    names = [parameter.name for parameter in card.parameters]
    _require(any(each.threshold for each in card.parameters), "no parameter is said to be a threshold")
    _require(len(names) == len(set(names)), f"parameters share a name: {names}")
    for parameter in card.parameters:
        _require(parameter.name.isidentifier(), f"{parameter.name!r} is no name for a parameter")
        _require(parameter.unit.strip(), f"parameter {parameter.name} has no unit")
        _require(parameter.default >= parameter.minimum, f"the default of {parameter.name} is below its minimum")
    sentences = [card.sees, card.response, *card.false_positives]
    sentences += [text for parameter in card.parameters for text in (parameter.meaning, parameter.reason)]
    for text in sentences:
        _require(text[:1].strip() and text.endswith("."), f"not a sentence: {text!r}")


def check_needs(detector: Detector) -> None:
    """Require that what it reads exists, and reaches no further back than what is kept."""
    _require(detector.needs, "the detector reads nothing")
    for need in detector.needs:
        known = [*TABLES, *refusals.TABLES, login_windows.TABLE]
        _require(need.table in known, f"there is no table {need.table!r}; there are {', '.join(known)}")
        most = TIERS[-1].kept_panes if need.table in {*ROLLED_UP, login_windows.TABLE} else SHORT_PANES
        _require(1 <= need.panes <= most, f"{need} does not lie between 1 and {most} panes")


def check_opt_outs(detector: Detector) -> None:
    """Require that skipped checks exist, and are skipped for a reason."""
    known = {check.__name__ for check in checks()}
    for name, reason in detector.skipped_checks.items():
        _require(name in known, f"there is no check {name!r} to skip")
        _require(reason.strip(), f"{name} is skipped without a reason")


def check_columns_of_scores(detector: Detector) -> None:
    """Require the columns of `SCORES` with their types, also where there is nothing to score."""
    for table in (Table.empty(), traffic()):
        scores = detector.score(Snapshot(table, LAST_PANE), _parameters(detector))
        for name, dtype in SCORES.items():
            _require(name in scores.columns, f"scores have no column {name}")
            _require(scores[name].dtype == dtype, f"column {name} of scores is {scores[name].dtype}, not {dtype}")
        hits = _hits(scores)
        for name in ("source_internal", "target_internal", "first_seen", "last_seen"):
            _require(not hits[name].has_nulls(), f"column {name} of scores is null in a hit")
        said = [pl.col(name).is_not_null() for name in ("source_key", "target_key", "entity") if name in hits.columns]
        named = hits.select(pl.any_horizontal(said)).to_series()
        _require(named.all(), "a hit names neither a source nor a target, nor what else it is about")
        _require(not hits["value"].is_nan().any(), "a value is not a number")


def check_scoring_is_pure(detector: Detector) -> None:
    """Require that scoring changes neither the statistics nor the detector, and says the same twice."""
    view = Snapshot(traffic(), LAST_PANE)
    statistics = {need: view.table(need).clone() for need in detector.needs}
    state = copy.deepcopy(vars(detector))
    first, second = (detector.score(view, _parameters(detector)).select(SCORES.names()) for _ in range(2))
    for need, before in statistics.items():
        _require(view.table(need).equals(before), f"scoring changes the table {need.table!r} that others read too")
    _require(vars(detector) == state, "scoring changes the detector")
    same = first.sort(SCORES.names()).equals(second.sort(SCORES.names()))
    _require(same, "scoring the same statistics twice gives different scores")


def check_scoring_is_vectorised(detector: Detector) -> None:
    """Require that scoring 5,000 hosts more calls no more Python than scoring a few."""
    few, many = (_calls(detector, Snapshot(traffic(quiet_hosts=hosts), LAST_PANE)) for hosts in (0, 5000))
    _require(many <= 2 * few, f"scoring calls Python {few:,} times for few hosts and {many:,} times for 5,000 more")


def check_reports_its_episode(detector: Detector) -> None:
    """Require that the example traffic holds what it looks for, else the other checks would check nothing."""
    found = _usual(type(detector))
    _require(found, f"nothing in the example traffic is a {detector.card.kind}; add an episode to it")
    _require({each.kind for each in found} == {detector.card.kind}, "detections are of another kind than the card's")


def check_no_records(detector: Detector) -> None:
    """Require that nothing is said where there are no statistics."""
    scores = detector.score(Snapshot(Table.empty(), LAST_PANE), _parameters(detector))
    hits = _hits(scores)
    _require(hits.is_empty(), f"without any records there are {hits.height} detections")


def check_one_host(detector: Detector) -> None:
    """Require that what is said of a host follows from its own records, and needs no others."""
    found = _usual(type(detector))
    for entity in {each.entity for each in found}:
        alone = _detections(detector, [_records_of(traffic(), entity)])
        _same([each for each in found if each.entity == entity], alone, f"without other hosts than {entity}")


def check_many_hosts(detector: Detector) -> None:
    """Require that 5,000 more hosts that do nothing unusual change nothing."""
    _same(_usual(type(detector)), _detections(detector, [traffic(quiet_hosts=5000)]), "among 5,000 more")


def check_order_of_records(detector: Detector) -> None:
    """Require that the order in which records arrive does not matter."""
    shuffled = Table(traffic().frame.sample(fraction=1, shuffle=True, seed=1))
    _same(_usual(type(detector)), _detections(detector, [shuffled]), "in another order")


def check_batching(detector: Detector) -> None:
    """Require that it does not matter in how many batches records come, nor how many panes close at a time."""
    _same(_usual(type(detector)), _detections(detector, _batches(500)), "in batches")


def check_address_families(detector: Detector) -> None:
    """Require that the same traffic over IPv6 gives the same detections, but for the addresses."""
    four, six = _usual(type(detector)), _detections(detector, [traffic(ipv6=True)])
    _same([_without_addresses(each) for each in four], [_without_addresses(each) for each in six], "over IPv6")


def check_checkpoints(detector: Detector) -> None:
    """Require that storing the state and taking it up again, at any time, changes nothing."""
    through = _detections(detector, _batches(700), restarts=True)
    _same(_usual(type(detector)), through, "with restarts")


def check_words_and_evidence(detector: Detector) -> None:
    """Require a summary of one line that names the entity, and bounded evidence, whatever the attack's size."""
    for each in _usual(type(detector)):
        _require(each.entity in each.summary, f"the summary does not name {each.entity}: {each.summary!r}")
        _require("\n" not in each.summary, f"the summary has several lines: {each.summary!r}")
        _require(len(each.summary) <= _SUMMARY_CHARACTERS, f"the summary is too long: {each.summary!r}")
        _require(len(each.ports) <= _PORTS, f"a detection lists {len(each.ports)} ports, more than {_PORTS}")
        _require(each.evidence, "a detection carries no evidence")
        size = len(json.dumps(each.model_dump(mode="json")["evidence"]))
        _require(size <= _EVIDENCE_BYTES, f"evidence takes {size:,} bytes, more than {_EVIDENCE_BYTES:,}")


def check_identifiers(detector: Detector) -> None:
    """Require the same findings under the same identifiers in every run, and no identifier twice."""
    first, second = (_findings(detector) for _ in range(2))
    _require([each.id for each in first] == [each.id for each in second], "a second run gives other identifiers")
    _require(first == second, "a second run gives other findings")
    opened = [each.id for each in first if each.updates == 0]
    _require(len(opened) == len(set(opened)), "two findings share an identifier")


def _records_of(table: Table, address: str) -> Table:
    low = parse(pl.Series([address]))[1][0]
    return Table(table.frame.filter((pl.col("source_low") == low) | (pl.col("destination_low") == low)))


def _batches(records_each: int) -> list[Table]:
    """Cut the example traffic into batches that each hold records of all panes still open, the newest first."""
    numbered = traffic().frame.with_row_index("number")
    frame = numbered.sort(pl.col("end") // (5 * PANE_SECONDS), "number", descending=[False, True]).drop("number")
    return [Table(part) for part in frame.iter_slices(records_each)]


def _parameters(detector: Detector) -> FixedParameters:
    return FixedParameters.of(detector.card, {})


def _watching(detector: Detector) -> Watch:
    fresh, kind = type(detector)(), detector.card.kind
    return Watch({kind: fresh}, {kind: _parameters(fresh)})


def _detections(detector: Detector, batches: Sequence[Table], *, restarts: bool = False) -> list[Detection]:
    """Watch batches of records, where every pane closes as soon as no record of it is to come."""
    watch = _watching(detector)
    found: list[Detection] = []
    watermarks = [END_OF_TIME]
    for batch in reversed(batches[1:]):
        watermarks.append(min(watermarks[-1], *batch.frame["end"]))
    for number, batch in enumerate(batches):
        watch.apply(batch, Span("example", Position(number), Position(number + 1)))
        if restarts:
            changes = watch.changes(whole=True)
            watch = _watching(detector)
            watch.restore(changes)
        found += watch.advance(watermarks.pop()).detections
    return found


@cache
def _usual(detector: type[Detector]) -> Sequence[Detection]:
    """Work out once what a detector says of the example traffic as it is."""
    return _detections(detector(), [traffic()])


def _findings(detector: Detector) -> list[Finding]:
    incidents = Incidents()
    return incidents.apply(_detections(detector, [traffic()])) + incidents.advance(END_OF_TIME)


def _hits(scores: pl.DataFrame) -> pl.DataFrame:
    return scores.filter(pl.col("value") >= pl.col("threshold"))


def _calls(detector: Detector, view: Snapshot) -> int:
    """Count the functions that are called while a detector scores what has been scored once before."""
    detector.score(view, _parameters(detector))
    calls = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        detector.score(view, _parameters(detector))
    finally:
        sys.setprofile(before)
    return calls


def _without_addresses(detection: Detection) -> Detection:
    named = filter(None, (detection.entity, detection.source, detection.target))
    summary = detection.summary
    # The longest first, as an address may be the beginning of another.
    for address in sorted(named, key=len, reverse=True):
        summary = summary.replace(address, "HOST")
    return detection.model_copy(
        update={
            "entity": "HOST",
            "source": detection.source and "SOURCE",
            "target": detection.target and "TARGET",
            "shard": 0,
            "summary": summary,
            "evidence": _anonymous(detection.model_dump(mode="json")["evidence"]),
        }
    )


def _anonymous(value: Any) -> Any:
    if isinstance(value, str):
        return "TEXT"
    if isinstance(value, dict):
        return {key: _anonymous(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_anonymous(each) for each in value]
    return value


def _same(expected: Sequence[Detection], found: Sequence[Detection], how: str) -> None:
    """Hold detections against each other, and say where the first difference is."""
    _require(len(found) == len(expected), f"{len(expected)} detections became {len(found)} {how}")
    for before, after in zip(expected, found, strict=True):
        differing = [name for name in Detection.model_fields if getattr(before, name) != getattr(after, name)]
        first = differing[:1]
        values = [f"{name}: {getattr(before, name)!r} became {getattr(after, name)!r}" for name in first]
        _require(not differing, f"{', '.join(values)} {how}")


def _require(condition: object, message: str) -> None:
    if not condition:
        raise CheckError(message)
