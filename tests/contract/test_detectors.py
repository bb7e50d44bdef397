"""Every detector keeps the contract."""

import pytest

from detectors.catalogue import catalogue
from detectors.checks import Check, checks
from detectors.contract import Detector

CASES = [
    pytest.param(detector, check, id=f"{kind}:{check.__name__}")
    for kind, detector in catalogue().items()
    for check in checks()
    if check.__name__ not in detector.skipped_checks
]


@pytest.mark.parametrize(("detector", "check"), CASES)
def test_detector_keeps_the_contract(detector: Detector, check: Check) -> None:
    check(detector)


def test_the_first_detectors_skip_nothing() -> None:
    skipped = {kind: detector.skipped_checks for kind, detector in catalogue().items() if detector.skipped_checks}
    assert not skipped
