import gzip
from collections.abc import Sequence

import numpy as np
import pytest
from pydantic import ValidationError

from streams.records import Message, NetworkSettings, RecordSettings, decode, decode_all
from streams.records.contract import FORMAT_HEADER, SAMPLING_HEADER
from streams.selection import Selection
from streams.selection_settings import DropRule, SelectionSettings
from streams.sources import Block
from tests.streams.flow_lines import flow

HEADER = (
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"
)
NODATA = "2 123456789012 eni-1 - - - - - - - 1767603600 1767603660 - NODATA"


def block(*lines: str, headers: dict[str, bytes] | None = None) -> Block:
    value = "\n".join(lines).encode("utf-8", "surrogateescape")
    return Block(value, headers or {}, len(lines), "a.log", len(value) + 1)


def kept(selection: Selection, *lines: str) -> list[str]:
    chosen = selection.apply(block(*lines))
    if chosen is None:
        return []
    assert chosen.lines == chosen.value.count(b"\n") + 1
    return chosen.value.decode("utf-8", "surrogateescape").split("\n")


def dropping(*rules: DropRule, sample: int = 1) -> Selection:
    return Selection(SelectionSettings(drop=rules, sample_one_in=sample), RecordSettings())


ACCEPTED, REFUSED = flow(action="ACCEPT", port=443), flow(action="REJECT", port=23)
OTHER = flow("10.1.0.9", "2001:db8::1", port=53)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        (DropRule(action="ACCEPT"), [REFUSED, NODATA]),
        (DropRule(log_status="NODATA"), [ACCEPTED, REFUSED, OTHER]),
        (DropRule(ports=(53, 23)), [ACCEPTED, NODATA]),
        (DropRule(cidr="10.1.0.0/16"), [ACCEPTED, REFUSED, NODATA]),
        (DropRule(cidr="2001:db8::/32"), [ACCEPTED, REFUSED, NODATA]),
        (DropRule(action="ACCEPT", ports=(53,)), [ACCEPTED, REFUSED, NODATA]),
        (DropRule(action="REJECT", ports=(53,)), [ACCEPTED, REFUSED, OTHER, NODATA]),
    ],
)
def test_a_rule_drops_what_matches_all_of_it(rule: DropRule, left: Sequence[str]) -> None:
    selection = dropping(rule)
    assert kept(selection, ACCEPTED, REFUSED, OTHER, NODATA) == list(left)
    assert selection.left.dropped == 4 - len(left)


def test_any_rule_is_enough_and_nothing_may_be_left() -> None:
    selection = dropping(DropRule(action="ACCEPT"), DropRule(action="REJECT"))
    assert kept(selection, HEADER, ACCEPTED, REFUSED) == []
    assert selection.left.dropped == 2


def test_header_lines_and_lines_that_are_none_stay() -> None:
    odd = "no flow at all \udcff"
    assert kept(dropping(DropRule(cidr="0.0.0.0/0")), HEADER, ACCEPTED, odd) == [HEADER, odd]


def test_the_order_of_fields_comes_from_the_headers() -> None:
    chosen = dropping(DropRule(ports=(53,))).apply(
        block("53 10.0.0.1", "54 53", headers={FORMAT_HEADER: b"dstport dstaddr"})
    )
    assert chosen is not None
    assert chosen.value == b"54 53"


@pytest.mark.parametrize(
    "value", [gzip.compress(ACCEPTED.encode(), mtime=0), b'{"version": 2, "action": "ACCEPT"}', b"PAR1xx"]
)
def test_what_is_no_text_goes_out_as_it_is_and_is_counted(value: bytes) -> None:
    selection = dropping(DropRule(action="ACCEPT"), sample=10)
    whole = Block(value, {}, 1, "a.log", 1)
    assert selection.apply(whole) is whole
    assert selection.left.unselected == 1


def conversations(count: int) -> list[str]:
    return [
        flow(f"10.0.{number >> 8}.{number & 255}", "198.51.100.7", port=1 + number % 5000) for number in range(count)
    ]


def test_a_share_of_conversations_is_drawn_and_says_what_it_stands_for() -> None:
    selection = dropping(sample=10)
    lines = conversations(10_000)
    chosen = selection.apply(block(*lines))
    assert chosen is not None
    assert 850 < chosen.lines < 1150
    assert selection.left.sampled_out == 10_000 - chosen.lines
    assert chosen.headers[SAMPLING_HEADER] == b"10"
    table = decode(Message(chosen.value, chosen.headers), RecordSettings(), NetworkSettings()).table
    assert set(table.frame["weight"]) == {10}
    assert abs(int(np.sum(table.frame["weight"].to_numpy())) - 10_000) < 1500


def test_all_records_of_a_conversation_share_its_fate_in_both_directions() -> None:
    forth = conversations(2000)
    back = []
    for line in forth:
        fields = line.split()
        fields[3], fields[4], fields[5], fields[6] = fields[4], fields[3], fields[6], fields[5]
        back.append(" ".join(fields))
    drawn = kept(dropping(sample=7), *forth)
    assert [back.index(line) for line in kept(dropping(sample=7), *back)] == [forth.index(line) for line in drawn]
    one_by_one = [line for line in forth if kept(dropping(sample=7), line)]
    assert one_by_one == drawn


def test_rows_that_tell_of_missing_flows_are_always_there() -> None:
    assert NODATA in kept(dropping(sample=10_000), *conversations(100), NODATA)


def test_a_sample_of_a_sample_stands_for_more() -> None:
    chosen = dropping(sample=2).apply(block(*conversations(100), headers={SAMPLING_HEADER: b"5"}))
    assert chosen is not None
    assert chosen.headers[SAMPLING_HEADER] == b"10"


def test_messages_that_were_sampled_differently_keep_their_weights() -> None:
    lines = [flow().encode(), flow(port=1).encode()]
    messages = [Message(lines[0], {SAMPLING_HEADER: b"3"}), Message(lines[1])]
    decoded = decode_all(messages, RecordSettings(), NetworkSettings())
    assert decoded.table.frame["weight"].to_list() == [3, 1]


def test_without_rules_nothing_is_looked_at() -> None:
    whole = block(ACCEPTED)
    assert dropping().apply(whole) is whole


def test_a_rule_without_conditions_is_refused() -> None:
    with pytest.raises(ValidationError, match="would drop everything"):
        DropRule()
