import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import written_numbers
from detectors.texts import Buffer


def read(texts: list[str]) -> list[int | None]:
    parts = [text.encode() for text in texts]
    end = np.cumsum([len(part) + 1 for part in parts]) - 1
    values, readable = written_numbers.read(Buffer(parts), end - [len(part) for part in parts], end)
    sound = [True] * len(texts) if readable is None else readable.tolist()
    assert readable is None or not all(sound)
    return [value if each else None for value, each in zip(values.tolist(), sound, strict=True)]


@pytest.mark.parametrize("longest", [1, 2, 3, 4, 8, 9, 16, 19])
@given(data=st.data())
def test_numbers_up_to_each_length_are_read(longest: int, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text("0123456789", min_size=1, max_size=longest), min_size=1))
    assert read(texts) == [int(text) if int(text) < 2**63 else None for text in texts]


@pytest.mark.parametrize("longest", [1, 2, 3, 4, 8, 9, 16])
@given(data=st.data())
def test_texts_up_to_each_length_that_are_no_numbers_are_told(longest: int, data: st.DataObject) -> None:
    texts = data.draw(st.lists(st.text("0189-+/: ", max_size=longest), min_size=1))
    assert read(texts) == [int(text) if text.isdigit() else None for text in texts]


def test_times_that_begin_alike_and_others_are_read() -> None:
    assert read(["1700000000", "1700009999"]) == [1700000000, 1700009999]
    assert read(["1700000000", "1800009999"]) == [1700000000, 1800009999]
    assert read(["x700000000", "x700009999"]) == [None, None]


def test_no_numbers_are_none() -> None:
    assert read([]) == []
