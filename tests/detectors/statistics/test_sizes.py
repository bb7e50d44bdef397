import polars as pl

from detectors.statistics.sizes import Size


def test_sizes_add_up() -> None:
    frame = pl.DataFrame({"key": pl.Series([1, 2], dtype=pl.UInt64), "internal": [True, False]})
    one = Size.of([frame])
    assert one.rows == 2
    assert one.bytes >= 17
    assert Size.of([frame, frame]) == Size.total([one, one]) == Size(4, 2 * one.bytes)
    assert Size.of([]) == Size.total([]) == Size(0, 0)
