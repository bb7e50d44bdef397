import polars as pl
import pytest

from detectors.state import Change, below, merged, prefixed

FRAME = pl.DataFrame({"key": [2**64 - 1, 0], "name": ["eni-1", None]}, schema={"key": pl.UInt64, "name": pl.String})


@pytest.mark.parametrize("frame", [FRAME, FRAME.clear()])
def test_a_frame_comes_back_from_its_bytes_with_its_types(frame: pl.DataFrame) -> None:
    change = Change("hosts", frame)
    encoded = change.encoded()
    assert isinstance(encoded, bytes)
    assert Change("hosts", encoded).frame().equals(frame)
    assert Change("hosts", encoded).frame().schema == frame.schema
    assert change.frame() is frame


def test_a_document_comes_back_and_is_written_the_same_way_whatever_the_order_of_its_keys() -> None:
    change = Change.of_document("position", {"b": [1, None], "a": "text"})
    assert change.document() == {"a": "text", "b": [1, None]}
    assert change == Change.of_document("position", {"a": "text", "b": [1, None]})
    assert change.encoded() == change.content


def test_a_piece_that_is_gone_has_neither_bytes_nor_a_frame() -> None:
    gone = Change("hosts", None)
    assert gone.encoded() is None
    with pytest.raises(ValueError, match="'hosts' is gone"):
        gone.frame()
    with pytest.raises(TypeError, match="'hosts' is no document"):
        gone.document()


def test_pieces_below_a_prefix_are_those_that_were_put_there() -> None:
    pieces = [Change("a", b"1"), Change("a/b", None)]
    together = [*prefixed("watch", pieces), *prefixed("watchers", [Change("c", b"2")]), Change("watch", b"3")]
    assert below("watch", together) == pieces


def test_the_last_change_of_a_piece_counts_and_what_is_gone_is_left_out() -> None:
    before = merged({}, [Change("a", b"1"), Change("b", b"1"), Change("a", b"2")])
    assert {name: change.content for name, change in before.items()} == {"a": b"2", "b": b"1"}
    after = merged(
        before, [Change("a", None), Change("c", b"3"), Change("d", None), Change("b", None), Change("b", b"4")]
    )
    assert {name: change.content for name, change in after.items()} == {"b": b"4", "c": b"3"}
    assert before.keys() == {"a", "b"}
