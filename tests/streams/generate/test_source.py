"""Generated traffic as a source."""

from itertools import pairwise

import pytest

from streams.errors import InputError, SettingsError
from streams.generate import Traffic
from streams.records import Message, NetworkSettings, RecordSettings, decode
from streams.sources.generated import GeneratedSource

PLACE = "generate://?seed=3&minutes=5&hosts=40&records_per_minute=900&version=5"


def test_it_takes_only_its_own_places() -> None:
    assert GeneratedSource.takes(PLACE)
    assert GeneratedSource.takes("generate://")
    assert not GeneratedSource.takes("flows/generate.log")


def test_a_place_holds_the_parameters_of_the_traffic() -> None:
    traffic = Traffic(seed=3, minutes=5, hosts=40, records_per_minute=900, version=5)
    assert GeneratedSource.at(PLACE).traffic == traffic
    assert GeneratedSource.at("generate://?attacks=0").traffic.truth() == Traffic(attacks=False).truth()


def test_an_empty_place_is_the_default_traffic() -> None:
    assert GeneratedSource.at("generate://").traffic == Traffic()


@pytest.mark.parametrize("version", [2, 5])
def test_its_blocks_are_the_text_of_the_traffic(version: int) -> None:
    source = GeneratedSource.at(f"generate://?minutes=5&hosts=40&records_per_minute=900&version={version}")
    assert b"".join(block.value + b"\n" for block in source.blocks()) == b"".join(source.traffic.blocks())


def test_every_block_can_be_decoded_alone() -> None:
    for block in GeneratedSource.at(PLACE).blocks():
        decoded = decode(Message(block.value, block.headers), RecordSettings(), NetworkSettings())
        assert decoded.refused.is_empty()
        assert decoded.table.frame["vpc_id"].null_count() == 0


def test_blocks_say_where_they_stand() -> None:
    blocks = list(GeneratedSource.at(PLACE).blocks())
    assert blocks[0].line == 1
    for block, following in pairwise(blocks):
        assert following.line == block.line + block.lines
        assert following.position == block.position + len(following.value) + 1
    assert all(block.lines == block.value.count(b"\n") + 1 for block in blocks)


def test_the_size_becomes_exact_at_the_end() -> None:
    source = GeneratedSource.at(PLACE)
    assert (source.size, source.consumed) == (0, 0)
    text = sum(len(block.value) + 1 for block in source.blocks())
    assert (source.size, source.consumed) == (text, text)


def test_the_size_is_known_about_halfway() -> None:
    source = GeneratedSource.at("generate://?minutes=10&hosts=40&records_per_minute=3000&attacks=0")
    estimates = [source.size for block in source.blocks() if block.position > 2_000_000]
    assert estimates[0] == pytest.approx(source.consumed, rel=0.2)


def test_it_remembers_what_was_acknowledged() -> None:
    source = GeneratedSource.at(PLACE)
    first, second, *_ = source.blocks()
    source.acknowledge(first)
    source.acknowledge(second)
    assert source.acknowledged == second.position


@pytest.mark.parametrize(
    ("query", "named"), [("speed=3", "'speed'"), ("minutes=soon", "'soon'"), ("minutes=", "minutes is ''")]
)
def test_what_cannot_be_read_in_a_place_is_named(query: str, named: str) -> None:
    with pytest.raises(InputError, match=named):
        GeneratedSource.at(f"generate://?{query}")


def test_a_parameter_out_of_range_is_refused() -> None:
    with pytest.raises(SettingsError, match="version is 4"):
        GeneratedSource.at("generate://?version=4")


def test_a_place_chooses_attacks_and_what_looks_like_one() -> None:
    place = (
        "generate://?aggregation=600&ipv6=0.25&attack=vertical_scan:ports=20,seconds=600&attack=brute_force"
        "&lookalike=crawler"
    )
    traffic = GeneratedSource.at(place).traffic
    assert (traffic.aggregation, traffic.ipv6) == (600, 0.25)
    assert traffic.episodes is not None
    assert [each.name() for each in traffic.episodes] == ["vertical_scan", "brute_force", "crawler"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("aggregation=300", "only 60 and 600"),
        ("ipv6=2", "ipv6 is 2"),
        ("attack=vertical", "did you mean 'vertical_scan'"),
    ],
)
def test_what_makes_no_sense_in_a_place_is_refused(query: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        GeneratedSource.at(f"generate://?{query}")


def test_a_part_that_is_no_number_is_named() -> None:
    with pytest.raises(InputError, match="ipv6 is 'half', write a number from 0 to 1"):
        GeneratedSource.at("generate://?ipv6=half")
