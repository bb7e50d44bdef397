import numpy as np
import polars as pl

from detectors.texts import Buffer, Texts
from streams.records import Message, NetworkSettings, RecordSettings, decode_all
from streams.records.contract import REFUSED, Place, Refusal
from streams.records.refused import PlaceColumns, Refused, frame

HERE = Texts(Buffer([b"one", b"two"]), np.array([0, 4]), np.array([3, 7]))


def columns() -> Refused:
    return Refused(PlaceColumns(np.array([0, 1]), np.array([7, 2]), HERE), ["because", "therefore"])


def test_columns_are_the_refusals_one_by_one() -> None:
    expected = [Refusal(Place(0, 7, b"one"), "because"), Refusal(Place(1, 2, b"two"), "therefore")]
    assert list(columns()) == expected
    assert [columns()[0], columns()[1]] == expected
    assert list(columns()[1:]) == expected[1:]
    assert list(Refused.of(expected)) == expected
    assert list(Refused.of(expected)[:1]) == expected[:1]
    assert list(Refused.of(expected).places) == [each.place for each in expected]


def test_a_frame_is_in_the_order_of_messages_and_lines() -> None:
    listed = Refused([Place(1, 1, b"three"), Place(0, 7, b"four")], ["so", "later"])
    found = frame([Refused([], []), columns(), listed.renumbered(np.array([0, 1]))])
    assert found.schema == REFUSED
    assert found.rows() == [
        (0, 7, "because", b"one"),
        (0, 7, "later", b"four"),
        (1, 1, "so", b"three"),
        (1, 2, "therefore", b"two"),
    ]


def test_nothing_refused_is_an_empty_frame() -> None:
    assert frame([]).equals(pl.DataFrame(schema=REFUSED))


def test_messages_are_named_by_their_indices_among_all() -> None:
    found = decode_all([Message(b'{"a'), Message(b" "), Message(b"nonsense")], RecordSettings(), NetworkSettings())
    assert found.refused["message"].to_list() == [0, 2]
