"""What is said between partitions and whoever judges arrives as it was meant, or is refused in words."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from detectors.questions import CALLS, NOBODY, Question
from detectors.route import SHARDS, Part
from streams.by_host.commands import (
    ABOUT_HEADER,
    ASK,
    CLOSE,
    COMMANDS,
    KIND_HEADER,
    MOST_BYTES,
    PIECE_HEADER,
    Answer,
    Command,
    Pieces,
    Reached,
    apart,
    messages,
    rows,
    together,
    written,
)
from streams.errors import ServiceError
from tests.detectors import strategies

TIMES: Final = st.integers(-(2**62), 2**62)
KEYS: Final = st.lists(st.integers(0, 2**64 - 1), max_size=30)
Said = tuple[Mapping[str, bytes], bytes]


def frame(keys: Sequence[int]) -> pl.DataFrame:
    return NOBODY if not keys else pl.DataFrame({"key": pl.Series(keys, dtype=pl.UInt64)})


QUESTIONS: Final = st.builds(
    Question,
    st.sampled_from(sorted(CALLS)),
    st.sampled_from(["", "host", "refused", "logins"]),
    st.integers(1, 1440),
    st.none() | st.sampled_from(["rejected", "bytes"]),
    st.sampled_from([0, 0.5, 100, 1e9, 2.0**62]),
    KEYS.map(frame),
)
ASKED: Final = st.builds(Command, st.just(ASK), TIMES, TIMES, TIMES, QUESTIONS)
COMMANDED: Final = ASKED | st.builds(Command, st.sampled_from(COMMANDS[1:]), TIMES, TIMES, TIMES)
CALLED: Final = Command(ASK, 60, 120, 780, Question("table", "host", 6, "bytes", 100, frame([3, 2**64 - 1])))


def said(kind: str, about: str, body: bytes) -> list[Said]:
    return [(each.headers, each.value or b"") for each in messages("commands", kind, about, body)]


def heard(pieces: Pieces, some: Sequence[Said]) -> list[tuple[str, str, bytes]]:
    return [whole for headers, value in some if (whole := pieces.add(headers, value)) is not None]


def facts(command: Command) -> tuple[Any, ...]:
    asked = command.question
    plain = command.kind, command.previous, command.pane, command.watermark
    return plain if asked is None else (*plain, asked.call, asked.name, asked.panes, asked.column, asked.least)


@strategies.quick
@given(COMMANDED)
def test_a_command_is_read_as_it_was_given(command: Command) -> None:
    read = Command.read(command.kind, command.body)
    assert facts(read) == facts(command)
    assert (read.body, read.name) == (command.body, command.name)
    if command.question is not None:
        assert read.question is not None
        assert_frame_equal(read.question.hosts, command.question.hosts)


@strategies.quick
@given(
    st.builds(
        Reached,
        st.integers(1, SHARDS).flatmap(lambda of: st.builds(Part, st.integers(0, of - 1), st.just(of))),
        *(TIMES, TIMES, st.lists(TIMES), st.text(), TIMES),
    )
)
def test_how_far_a_partition_has_come_is_read_as_it_was_said(reached: Reached) -> None:
    assert Reached.read(reached.body) == reached


@strategies.quick
@given(KEYS, st.integers(0, 30))
def test_the_same_rows_are_the_same_bytes_in_however_many_pieces_they_lie(keys: list[int], place: int) -> None:
    whole = frame(keys)
    apart = pl.concat([whole[:place], whole[place:]], rechunk=False)
    assert written(apart) == written(whole)
    assert_frame_equal(rows(written(apart)), whole)


@strategies.quick
@given(st.dictionaries(st.text(), KEYS))
def test_answers_are_read_one_by_one_as_they_were_said_together(said: dict[str, list[int]]) -> None:
    heard = apart(together([Answer(name, frame(keys)) for name, keys in said.items()]))
    assert [*heard] == [*said]
    for name, keys in said.items():
        assert_frame_equal(rows(heard[name]), frame(keys))


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b'[["a", 3]]\nxx', b'[["a", 3]]\nxxxx', b'[["a", -1]]\n', b'[["a"]]\n']
)
def test_answers_that_are_damaged_are_refused(body: bytes) -> None:
    with pytest.raises(ServiceError, match=r"what a partition of hosts answers is damaged: .*let all processes"):
        apart(body)


@strategies.quick
@given(ASKED, ASKED)
def test_another_question_has_another_name(one: Command, other: Command) -> None:
    def asked(command: Command) -> tuple[Any, ...]:
        assert command.question is not None
        return *facts(command), command.question.hosts["key"].to_list()

    assert (one.name == other.name) is (asked(one) == asked(other))


def test_the_same_question_has_the_same_name_in_another_process() -> None:
    script = (
        "import polars as pl\n"
        "from detectors.questions import Question\n"
        "from streams.by_host.commands import ASK, Command\n"
        "hosts = pl.DataFrame({'key': pl.Series([3, 2**64 - 1], dtype=pl.UInt64)})\n"
        "print(Command(ASK, 60, 120, 780, Question('table', 'host', 6, 'bytes', 100.0, hosts)).name)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == CALLED.name


@strategies.quick
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.data())
def test_what_comes_in_pieces_is_put_together_whatever_comes_in_between(
    bodies: list[bytes], data: st.DataObject
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("streams.by_host.commands.MOST_BYTES", 7)
        waiting = [said(ASK, str(number), body) for number, body in enumerate(bodies)]
    assert [len(each) for each in waiting] == [max(-(-len(body) // 7), 1) for body in bodies]
    pieces, whole = Pieces(), []
    # Somebody began before and died, wherever that was, and is heard from somewhere in the middle.
    for of in data.draw(st.lists(st.sampled_from(waiting))):
        begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(of))] * 2)))
        for known in heard(pieces, of[begin:end]):
            assert known[2] == bodies[int(known[1])]
    while any(waiting):
        one = data.draw(st.sampled_from([each for each in waiting if each]))
        whole += heard(pieces, [one.pop(0)])
    assert sorted(whole) == sorted((ASK, str(number), body) for number, body in enumerate(bodies))
    assert pieces == Pieces()


def test_what_is_large_comes_in_messages_that_a_broker_takes() -> None:
    body = bytes(range(256)) * (3 * MOST_BYTES // 256)
    some = said(ASK, "large", body)
    assert len(some) == 3
    assert max(len(value) for _, value in some) == MOST_BYTES
    assert heard(Pieces(), some) == [(ASK, "large", body)]


def test_whoever_missed_the_first_pieces_waits_until_all_is_said_again() -> None:
    some = said(ASK, "large", bytes(2 * MOST_BYTES + 1))
    pieces = Pieces()
    assert heard(pieces, [*some[1:], some[0], some[2]]) == []
    assert [body for *_, body in heard(pieces, some)] == [bytes(2 * MOST_BYTES + 1)]


NONSENSE: Final = [
    *(b"", b"nonsense", b"\xff\xfe", b"[]", b"3", b"null", b"{}", b'{"previous": 1}', b'{"previous": '),
    *(b'{"previous": "1", "pane": 2, "watermark": 3}', b'{"previous": 1, "pane": 2, "watermark": 3, "more": 4}'),
    *(
        CALLED.body[:-150],
        CALLED.body.replace(b'"panes":6', b'"panes":"6"'),
        CALLED.body.partition(b"\n")[0] + b"\nABC",
    ),
]


@pytest.mark.parametrize("body", NONSENSE)
def test_a_command_that_is_damaged_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError, match=r"command of kind 'ask' is damaged: .*see who else writes to the topic"):
        Command.read(ASK, body)


def test_a_command_of_another_version_is_refused() -> None:
    with pytest.raises(
        ServiceError, match=r"'cloze' came, .* does not know; did you mean 'close'\?; let all processes"
    ):
        Command.read("cloze", Command(CLOSE, 1, 2, 3).body)
    with pytest.raises(ServiceError, match=r"asks for 'tables' came, .*did you mean 'table'\?"):
        Command.read(ASK, CALLED.body.replace(b'"table"', b'"tables"'))
    with pytest.raises(ServiceError, match="asks for nothing"):
        Command.read(ASK, Command(CLOSE, 1, 2, 3).body)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"nonsense", b"\xff\xfe", b"[]", b"{}", b'{"part": [0, 1]}'),
        b'{"part": 3, "watermark": 1, "learned": 1, "panes": []}',
        b'{"part": [0, 1], "watermark": "x", "learned": 1, "panes": []}',
        b'{"part": [0, 1, 2], "watermark": 1, "learned": 1, "panes": []}',
        b'{"part": [0, 1], "watermark": 1, "learned": 1, "panes": 7}',
    ],
)
def test_word_of_a_partition_that_is_damaged_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError, match=r"how far a partition of hosts has come is damaged: .*let all processes"):
        Reached.read(body)


@pytest.mark.parametrize("body", [b"", b"nonsense", written(frame([1, 2, 3]))[:40]])
def test_an_answer_that_is_damaged_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError, match="an answer of a partition of hosts is damaged"):
        rows(body)


@pytest.mark.parametrize("piece", [b"", b"1", b"x/y", b"2/2", b"-1/2", b"0/0", b"1/2/3"])
def test_a_piece_that_is_none_is_refused(piece: bytes) -> None:
    headers = {KIND_HEADER: b"ask", ABOUT_HEADER: b"a", PIECE_HEADER: piece}
    with pytest.raises(ServiceError, match="is damaged"):
        Pieces().add(headers, b"")


@pytest.mark.parametrize("name", [KIND_HEADER, ABOUT_HEADER, PIECE_HEADER])
def test_a_message_without_its_headers_is_refused(name: str) -> None:
    ((headers, value),) = said(CLOSE, "a", b"b")
    for wrong in ({each: its for each, its in headers.items() if each != name}, {**headers, name: b"\xff"}):
        with pytest.raises(ServiceError, match=r"is damaged: .*see who else writes to the topic"):
            Pieces().add(wrong, value)
