"""How episodes are asked for in a line."""

import re

import pytest

from streams.errors import SettingsError
from streams.generate.chosen import choose, chosen, known, usual
from streams.generate.scans import VerticalScan


def test_a_name_alone_has_the_defaults() -> None:
    assert choose(["vertical_scan"], expect=True) == (VerticalScan(),)


def test_parameters_are_of_the_types_of_their_defaults() -> None:
    (scan,) = choose(["vertical_scan:ports=40,closed=0.5,place=inside,label=x"], expect=True)
    assert scan == VerticalScan(ports=40, closed=0.5, place="inside", label="x")


def test_all_is_each_there_is() -> None:
    names = [each.name() for each in choose(["all"], expect=True)]
    assert names == list(known(expect=True))
    assert {"slow_scan", "brute_force", "distributed_scan", "exfiltration_burst"} <= set(names)


def test_attacks_alone_leave_the_usual_lookalikes() -> None:
    asked = chosen(["slow_scan"], [])
    assert asked is not None
    assert [each.name() for each in asked if each.expect] == ["slow_scan"]
    assert [each for each in asked if not each.expect] == list(usual(expect=False))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vertcal_scan", "no attack is called 'vertcal_scan'; did you mean 'vertical_scan'?"),
        ("video_call", "no attack is called 'video_call'"),
        ("vertical_scan:prots=3", "vertical_scan has no parameter 'prots'; did you mean 'ports'?"),
        ("vertical_scan:ports=many", "ports is 'many', write a whole number"),
        ("vertical_scan:closed=x", "closed is 'x', write a number"),
        ("vertical_scan:ports", "ports has no value; write ports=240"),
        ("vertical_scan:ports=0", "ports is 0, but at least 1 is needed"),
        ("vertical_scan:ports=9999", "ports is 9999, but at most 4095 is possible"),
        ("vertical_scan:jitter=nan", "jitter is nan, but at least 0 is needed"),
        ("vertical_scan:place=upward", "place is 'upward', but must be one of inward, inside, outward"),
        ("vertical_scan:minute=60", "minute is 60, but at most 59 is possible"),
    ],
)
def test_what_is_wrong_is_told_with_the_text_it_stands_in(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(text)}: .*{re.escape(told)}"):
        choose([text], expect=True)


def test_an_unknown_lookalike_is_called_one() -> None:
    with pytest.raises(SettingsError, match="no lookalike is called 'video_cal'; did you mean 'video_call'"):
        choose(["video_cal"], expect=False)
