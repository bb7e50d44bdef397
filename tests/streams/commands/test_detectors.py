import pytest
from click.testing import CliRunner

from detectors.catalogue import cards
from streams.commands.detectors import command


def test_every_detector_is_a_line() -> None:
    result = CliRunner().invoke(command)
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()] == list(cards())


@pytest.mark.parametrize("kind", cards())
def test_the_card_of_one_says_what_it_sees_and_what_may_be_set(kind: str) -> None:
    result = CliRunner().invoke(command, [kind])
    card = cards()[kind]
    assert result.exit_code == 0
    for part in (card.title, card.sees, card.response, *card.false_positives, *card.mitre):
        assert part in result.output
    for parameter in card.parameters:
        assert f"detectors.{kind}.{parameter.name}: {parameter.default:g} {parameter.unit}" in result.output


def test_an_unknown_one_is_wrong_usage_that_names_those_there_are() -> None:
    result = CliRunner().invoke(command, ["vertical_scam"])
    assert result.exit_code == 2
    assert "'vertical_scam'; there are " in result.output
    assert all(kind in result.output for kind in cards())
