import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from zstandard import ZstdCompressor

from detectors.statistics import baseline_pieces
from detectors.statistics.baselines import Baselines
from streams import baseline_files
from streams.errors import InputError
from tests.detectors.statistics.pasts import DAY, FIRST, MONDAY, SECOND, THIRD

GOLDEN = Path(__file__).parents[1] / "golden" / "baselines" / "version-1.parquet.zst"

THURSDAY = MONDAY + 10 * DAY
TWO, THREE = THURSDAY + 2 * 60 + 15, THURSDAY + 15 * 60


def usual(baselines: Baselines, column: str, pane: int) -> list[Any]:
    keys = pl.Series([FIRST, SECOND, THIRD], dtype=pl.UInt64)
    return baselines.baseline(60 * pane, column, keys, 1).rows()


def test_a_file_of_version_1_is_read() -> None:
    baselines = baseline_files.read(GOLDEN)
    assert baselines.hosts == 3
    # Of two hosts that were watched from a Monday to a Thursday: one keeps office hours, one makes a backup at two.
    office, backup, unknown = usual(baselines, "sent", TWO)
    assert office == pytest.approx((1e6, 0, 240), rel=1 / 16)
    assert backup == pytest.approx((0, 8e8 / 1.2816, 180), rel=1 / 16)
    assert unknown == (0, 0, 0)
    office, backup, _ = usual(baselines, "sent", THREE)
    assert office == pytest.approx((1e7, 0, 180), rel=1 / 16)
    assert backup == (0, 0, 180)
    assert usual(baselines, "rejected", THREE)[1] == pytest.approx((6, 1 / 1.2816, 180))


def test_a_file_of_version_2_says_where_hosts_sent_much() -> None:
    baselines = baseline_files.read(GOLDEN.with_name("version-2.parquet.zst"))
    hosts, peers = np.array([FIRST, SECOND, THIRD], np.uint64), np.array([901, 902, 901], np.uint64)
    known = baselines.destinations.known(hosts, peers)
    assert known["hours"].to_list() == [3, 1, 0]
    assert known["age"].to_list() == [2, 1, 0]
    assert known["most"].to_list() == pytest.approx([15e6, 2e6, 0], rel=1 / 16)
    assert known["others"].to_list() == [0, 0, 1]
    assert len(baseline_files.read(GOLDEN).destinations) == 0


def test_what_is_written_is_what_was_read(tmp_path: Path) -> None:
    baselines = baseline_files.read(GOLDEN)
    written = tmp_path / "again.parquet"
    written.write_text("something that was there before")
    assert baseline_files.write(written, baselines) == 3
    assert baseline_files.read(written).exported().equals(baselines.exported())
    assert [path.name for path in tmp_path.iterdir()] == ["again.parquet"]


def test_baselines_that_learned_nothing_can_be_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    assert baseline_files.write(path, Baselines()) == 0
    assert baseline_files.read(path).hosts == 0


def test_a_later_version_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "later.parquet"
    baselines = baseline_files.read(GOLDEN)
    monkeypatch.setattr(baseline_pieces, "VERSION", 3)
    baseline_files.write(path, baselines)
    monkeypatch.undo()
    with pytest.raises(InputError, match=r"later\.parquet: baselines of version 3 are not known; .* reads up to 2"):
        baseline_files.read(path)


@pytest.mark.parametrize("place", [0, 1, 20, 300, 1000, 2000, -700, -100, -1])
def test_a_damaged_file_is_refused_in_words(tmp_path: Path, place: int) -> None:
    content = bytearray(GOLDEN.read_bytes())
    content[place] ^= 0xFF
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged: holds no baselines, or is damaged: "):
        baseline_files.read(path)


@pytest.mark.parametrize("length", [0, 3, 2000])
def test_a_file_that_breaks_off_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "short"
    path.write_bytes(GOLDEN.read_bytes()[:length])
    with pytest.raises(InputError, match=r"short: holds no baselines, or is damaged"):
        baseline_files.read(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "flows"
    path.write_bytes(ZstdCompressor().compress(b"srcaddr dstaddr"))
    with pytest.raises(InputError, match="flows: holds no baselines, or is damaged"):
        baseline_files.read(path)
    parquet = io.BytesIO()
    pl.DataFrame({"srcaddr": ["192.0.2.1"]}).write_parquet(parquet)
    path.write_bytes(ZstdCompressor().compress(parquet.getvalue()))
    with pytest.raises(InputError, match="flows: holds no baselines; name a file that Flowhawk exported"):
        baseline_files.read(path)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.parquet: cannot be read: No such file or directory"):
        baseline_files.read(tmp_path / "absent.parquet")
    with pytest.raises(InputError, match=r"x\.parquet: cannot be written: No such file or directory"):
        baseline_files.write(tmp_path / "absent" / "x.parquet", Baselines())


def test_where_a_file_cannot_be_replaced_nothing_is_left_behind(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(GOLDEN, folder / "other.parquet")
    with pytest.raises(InputError, match="folder: cannot be written"):
        baseline_files.write(folder, baseline_files.read(GOLDEN))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
