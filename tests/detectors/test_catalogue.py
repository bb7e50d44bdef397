import polars as pl
import pytest

from detectors.catalogue import FixedParameters, cards, catalogue
from detectors.scans import VerticalScan

KEYS = pl.Series([1, 2, 3], dtype=pl.UInt64)


def test_the_first_detectors_are_there_in_order_of_their_kinds() -> None:
    assert list(catalogue()) == sorted(catalogue())
    assert set(catalogue()) >= {"vertical_scan", "horizontal_scan", "exfiltration_burst", "rejected_spike"}


def test_each_detector_stands_under_the_kind_of_its_card() -> None:
    assert {kind: card.kind for kind, card in cards().items()} == {kind: kind for kind in catalogue()}


def test_parameters_have_the_defaults_of_the_card() -> None:
    column = FixedParameters.of(VerticalScan.card, {}).column("ports", KEYS)
    assert column.equals(pl.Series("ports", [15.0] * 3), check_names=True)


def test_what_was_set_stands_over_the_defaults() -> None:
    assert FixedParameters.of(VerticalScan.card, {"ports": 40}).column("ports", KEYS).to_list() == [40.0] * 3


def test_a_parameter_for_no_entity_is_an_empty_column() -> None:
    assert FixedParameters.of(VerticalScan.card, {}).column("ports", KEYS.clear()).to_list() == []


def test_a_parameter_that_the_card_does_not_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="hosts"):
        FixedParameters.of(VerticalScan.card, {"hosts": 3}).column("hosts", KEYS)
