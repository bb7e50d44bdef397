import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.texts import Buffer, Texts

words = st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=30)
digits = st.text("0123456789", min_size=1, max_size=20)
numbers = st.one_of(digits, st.text("0123456789-+. /:", max_size=12))


def column(parts: list[bytes]) -> Texts:
    buffer = Buffer(parts)
    end = np.cumsum([len(part) + 1 for part in parts]) - 1
    return Texts(buffer, end - [len(part) for part in parts], end)


def plainly(text: str) -> int | None:
    value = int(text) if text.isascii() and text.isdigit() else -1
    return value if 0 <= value < 2**63 else None


@given(texts=st.lists(words, min_size=1))
def test_texts_become_the_strings_they_are(texts: list[str]) -> None:
    found = column([text.encode() for text in texts])
    assert found.buffer.strings({"some": found})["some"].to_list() == texts
    assert found.buffer.binaries(found).to_list() == [text.encode() for text in texts]


def test_strings_outlive_their_buffer() -> None:
    strings = (found := column([b"eni-0123456789", b"eni-1"])).buffer.strings({"some": found})["some"]
    del found
    assert strings.to_list() == ["eni-0123456789", "eni-1"]


def test_strings_reach_over_the_windows_of_a_large_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detectors.texts._WINDOW_BITS", 6)
    monkeypatch.setattr("detectors.texts._WINDOW", 64)
    texts = [f"eni-{number:017x}" for number in range(100)]
    found = column([text.encode() for text in texts])
    assert found.buffer.strings({"some": found})["some"].to_list() == texts


def test_bytes_that_are_not_utf8_do_not_become_strings() -> None:
    found = column([b"eni-\xff"])
    with pytest.raises(pl.exceptions.ComputeError):
        found.buffer.strings({"some": found})


@given(texts=st.lists(numbers, min_size=1, max_size=30))
def test_numbers_are_read_as_a_plain_reader_reads_them(texts: list[str]) -> None:
    values, readable = column([text.encode() for text in texts]).numbers()
    assert [value if sound else None for value, sound in zip(values.tolist(), readable.tolist(), strict=True)] == [
        plainly(text) for text in texts
    ]


@pytest.mark.parametrize("width", range(1, 21))
def test_numbers_of_one_length_are_read(width: int) -> None:
    texts = ["17"[:width] + f"{number:0{width}}"[len("17"[:width]) :] for number in (0, 1, 7, 123456789, 10**20 - 1)]
    texts = [text[:width] for text in texts]
    values, readable = column([text.encode() for text in texts]).numbers()
    assert values[readable].tolist() == [value for text in texts if (value := plainly(text)) is not None]
    assert readable.tolist() == [plainly(text) is not None for text in texts]


@pytest.mark.parametrize("count", [0, 1, 16384, 16385, 40000])
def test_columns_of_any_length_are_read(count: int) -> None:
    texts = [str(number * 7919) if number % 1000 else "x" for number in range(count)]
    values, readable = column([text.encode() for text in texts] or [b""]).at(np.arange(count)).numbers()
    assert readable.tolist() == [text != "x" for text in texts]
    assert values[readable].tolist() == [int(text) for text in texts if text != "x"]


@given(texts=st.lists(st.sampled_from(["OK", "NODATA", "SKIPDATA", "O", "OK!", "-", ""]), min_size=1))
def test_texts_are_found_among_words(texts: list[str]) -> None:
    allowed = ["OK", "NODATA", "SKIPDATA"]
    indices, known = column([text.encode() for text in texts]).among(allowed)
    assert indices.tolist() == [allowed.index(text) if text in allowed else 0 for text in texts]
    assert (known is None) == all(text in allowed for text in texts)
    assert known is None or known.tolist() == [text in allowed for text in texts]


@given(text=st.text("01-", max_size=17), others=st.lists(st.text("01-", max_size=17), max_size=3))
def test_a_column_is_constant_where_all_texts_are_the_same(text: str, others: list[str]) -> None:
    texts = [text, *others]
    found = column([each.encode() for each in texts]).constant()
    assert found == (set(texts) == {text} and len(text) <= 16)


@given(texts=st.lists(st.sampled_from(["", "-", "1", "--", "10"]), min_size=1))
def test_what_is_empty_or_a_minus_is_missing(texts: list[str]) -> None:
    missing = column([text.encode() for text in texts]).missing()
    assert (missing is not None) == any(text in {"", "-"} for text in texts)
    assert missing is None or missing.tolist() == [text in {"", "-"} for text in texts]
