import polars as pl
import pytest

from detectors.catalogue import FixedParameters, cards, catalogue
from detectors.contract import Parameter
from detectors.examples import LAST_PANE, traffic
from detectors.scaled import LoweredParameters, RememberedView, ScaledParameters, scaled, thresholds
from detectors.snapshot import Snapshot

KEYS = pl.Series([1, 2], dtype=pl.UInt64)
IN_FORCE = FixedParameters({"ports": 15.0, "block_targets": 3.0})
PORTS = Parameter("ports", 15, "distinct ports", "What.", "Why.", minimum=2, threshold=True)


@pytest.mark.parametrize("kind", cards())
def test_every_card_says_what_its_thresholds_are(kind: str) -> None:
    assert thresholds(cards()[kind])


@pytest.mark.parametrize(("value", "times", "expected"), [(15, 2, 30), (15, 0.5, 8), (15, 0.01, 2), (14, 1, 14)])
def test_whole_numbers_stay_whole_and_above_their_minimum(value: float, times: float, expected: float) -> None:
    assert scaled(PORTS, value, times).item() == expected


def test_other_numbers_are_just_multiplied() -> None:
    share = Parameter("share", 0.8, "part", "What.", "Why.")
    assert scaled(share, 0.8, 1.5).item() == pytest.approx(1.2)


def test_what_is_raised_is_raised_for_everybody_and_nothing_else() -> None:
    raised = ScaledParameters(IN_FORCE, [PORTS], 1.5)
    assert raised.column("ports", KEYS).to_list() == [22.0, 22.0]
    assert raised.column("ports", KEYS).name == "ports"
    assert raised.column("block_targets", KEYS).to_list() == [3.0, 3.0]
    assert (raised.least("ports"), raised.least("block_targets")) == (22, 3)


def test_what_is_lowered_is_lowered_for_the_hosts_named_alone() -> None:
    lowered = LoweredParameters(IN_FORCE, ["ports"], 0.5, pl.Series([2], dtype=pl.UInt64))
    assert lowered.column("ports", KEYS).to_list() == [15.0, 7.5]
    assert lowered.column("block_targets", KEYS).to_list() == [3.0, 3.0]
    assert (lowered.least("ports"), lowered.least("block_targets")) == (7.5, 3)


@pytest.mark.parametrize("kind", catalogue())
def test_a_view_that_remembers_gives_the_same_scores_as_one_that_reads_anew(kind: str) -> None:
    detector = catalogue()[kind]
    remembered = RememberedView(Snapshot(traffic(), LAST_PANE))
    for times in (0.25, 0.5, 1, 4, 0.1):
        parameters = ScaledParameters(FixedParameters.of(detector.card, {}), thresholds(detector.card), times)
        anew, again = (
            detector.score(view, parameters).sort("source_key", "target_key", "value", nulls_last=True)
            for view in (Snapshot(traffic(), LAST_PANE), remembered)
        )
        assert again.equals(anew)
    assert remembered.pane == LAST_PANE
