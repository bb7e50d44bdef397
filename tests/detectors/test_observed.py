import polars as pl
import pytest

from detectors.catalogue import FixedParameters, catalogue
from detectors.contract import Detector, Parameters
from detectors.examples import LAST_PANE, traffic
from detectors.finding import Detection
from detectors.observed import Ends, Figure, figures, in_force, statistics
from detectors.scaled import ScaledParameters, thresholds
from detectors.snapshot import Snapshot
from detectors.statistics import directory
from detectors.verdicts import verdicts

VIEW = Snapshot(traffic(), LAST_PANE)


def of(detector: Detector) -> Parameters:
    return FixedParameters.of(detector.card, {})


def hosts(keys: pl.Series) -> pl.DataFrame:
    listed = directory.summed(directory.hosts(traffic().flows))
    return listed.filter(pl.col("key").is_in(keys.drop_nulls().implode()))


def found(kind: str) -> list[Detection]:
    detector = catalogue()[kind]
    return verdicts(detector, VIEW, of(detector), hosts)


def told_with(detector: Detector, ends: Ends, times: float) -> Figure:
    """Return what is told where all thresholds are so many times as high."""
    (figure,) = figures(detector, VIEW, ScaledParameters(of(detector), thresholds(detector.card), times), ends)
    return figure


FOUND = [pytest.param(kind, each, id=f"{kind}-{each.entity}") for kind in catalogue() for each in found(kind)]


def test_the_example_traffic_holds_every_kind() -> None:
    assert {kind for kind in catalogue() if found(kind)} == set(catalogue())


@pytest.mark.parametrize(("kind", "detection"), FOUND)
def test_the_figures_of_a_detection_are_what_it_says(kind: str, detection: Detection) -> None:
    detector = catalogue()[kind]
    told = figures(detector, VIEW, of(detector), Ends.of(detection))
    same = [each for each in told if each.value == detection.value and each.threshold == detection.threshold]
    assert same
    assert all(each.over for each in same)
    assert same[0].baseline == detection.baseline


@pytest.mark.parametrize(("kind", "detection"), FOUND)
def test_below_the_threshold_the_value_is_told_beside_the_threshold_in_force(kind: str, detection: Detection) -> None:
    detector, ends = catalogue()[kind], Ends.of(detection)
    times = 2 * detection.value / detection.threshold
    while (figure := told_with(detector, ends, times)).over:
        times *= 2
    assert figure.value == detection.value
    # Who is far above one limit may have to be held against another one first.
    limits = [detection.threshold, *(each.default for each in thresholds(detector.card))]
    assert figure.threshold > figure.value
    assert [each for each in limits if figure.threshold == pytest.approx(times * each, rel=0.02)]


@pytest.mark.parametrize(("kind", "detection"), FOUND)
def test_the_rows_that_were_read_are_those_of_its_ends(kind: str, detection: Detection) -> None:
    detector = catalogue()[kind]
    ends = Ends.of(detection)
    figure, *_ = figures(detector, VIEW, of(detector), ends)
    read = list(statistics(detector, VIEW, ends, figure))
    assert read
    for each in read:
        assert 1 <= len(each.rows) <= each.in_all
        for row in each.rows:
            assert detection.source in {None, row.get("source", detection.source)}
            assert detection.target in {None, row.get("target", detection.target)}


def test_nothing_is_told_of_who_did_nothing() -> None:
    for detector in catalogue().values():
        nobody = Ends(1, 2)
        assert figures(detector, VIEW, of(detector), nobody) == []
        assert list(statistics(detector, VIEW, nobody, None)) == []


def test_parameters_in_force_are_those_of_the_entity() -> None:
    card = catalogue()["vertical_scan"].card

    class Some:
        def column(self, name: str, keys: pl.Series) -> pl.Series:
            return pl.Series(name, [100.0 if key == 7 else 1.0 for key in keys], pl.Float64)

        def least(self, _name: str) -> float:
            return 1.0

    assert set(in_force(card, Some(), Ends(7, 8)).values()) == {100.0}
    assert set(in_force(card, Some(), Ends(None, 7)).values()) == {100.0}
    assert set(in_force(card, Some(), Ends(8, 7)).values()) == {1.0}
