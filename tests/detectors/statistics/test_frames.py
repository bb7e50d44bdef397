"""A frame has the names, types and values of the arrays that it is made of."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from detectors.statistics.frames import among, frame

KEYS = st.lists(st.integers(0, 20) | st.integers(0, 2**64 - 1) | st.sampled_from([2**56, 2**57, 2**63]), max_size=30)


def test_a_frame_has_the_columns_that_it_is_made_of() -> None:
    made = frame(
        {
            "key": np.array([2**64 - 1, 0], np.uint64),
            "port": np.array([65535, 0], np.uint16),
            "internal": np.array([True, False]),
            "bytes": np.array([-1, 2**62]),
        }
    )
    assert made.schema == pl.Schema(
        {"key": pl.UInt64(), "port": pl.UInt16(), "internal": pl.Boolean(), "bytes": pl.Int64()}
    )
    assert made.rows() == [(2**64 - 1, 65535, True, -1), (0, 0, False, 2**62)]


def test_nothing_keeps_its_type() -> None:
    assert frame({"port": np.zeros(0, np.uint8)}).schema == pl.Schema({"port": pl.UInt8()})


@given(KEYS, KEYS)
def test_rows_are_chosen_by_their_keys(keys: list[int], wanted: list[int]) -> None:
    asked = np.unique(np.array(wanted, np.uint64))
    rows = frame({"key": np.array(keys, np.uint64), "row": np.arange(len(keys))})
    assert among(rows, rows["key"].to_numpy(), asked)["row"].to_list() == [
        row for row, key in enumerate(keys) if key in wanted
    ]
