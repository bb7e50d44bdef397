import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from detectors import written_addresses
from detectors.repeated_texts import DistinctTexts, RepeatedTexts
from detectors.texts import Texts

TEXTS = st.sampled_from(["192.0.2.1", "2001:db8::1", "10.0.0.256", "-", "", "eni-1", None])


def repeated(texts: list[str | None]) -> RepeatedTexts:
    distinct = list(dict.fromkeys(texts))
    codes = pl.Series([distinct.index(text) for text in texts], dtype=pl.Int64).to_numpy()
    return RepeatedTexts(DistinctTexts(pl.Series(distinct, dtype=pl.String)), codes)


@given(texts=st.lists(TEXTS, min_size=1))
def test_addresses_are_those_of_each_text(texts: list[str | None]) -> None:
    expected = written_addresses.read(Texts.of(pl.Series(texts, dtype=pl.String)))
    assert [part.tolist() for part in repeated(texts).addresses()] == [part.tolist() for part in expected]


@given(texts=st.lists(TEXTS, min_size=1))
def test_strings_are_the_texts_without_what_stands_for_missing_ones(texts: list[str | None]) -> None:
    assert repeated(texts).strings().to_list() == [None if text in {"", "-"} else text for text in texts]


@given(texts=st.lists(TEXTS, min_size=1), begin=st.integers(0, 5), length=st.integers(1, 5))
def test_some_of_them_are_taken_as_from_a_list(texts: list[str | None], begin: int, length: int) -> None:
    column, some = repeated(texts).fill_null("OK"), [text if text is not None else "OK" for text in texts]
    expected = [None if text in {"", "-"} else text for text in some]
    assert column.slice(begin, length).strings().to_list() == expected[begin : begin + length]
    rows = pl.Series(range(len(texts))).to_numpy()[::2]
    assert column.at(rows).strings().to_list() == expected[::2]
    assert len(column.at(rows)) == len(rows)
