import subprocess
import sys
from pathlib import Path

import pytest

from streams.sinks.rotated_file import RotatedFile


def names(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lines"


def test_blocks_are_added_to_what_is_there(path: Path) -> None:
    path.write_text("old\n")
    file = RotatedFile(path)
    file.add(b"new\n")
    assert path.read_text() == "old\nnew\n"
    file.close()


def test_a_block_that_has_no_room_begins_another_file(path: Path) -> None:
    file = RotatedFile(path, rotate_bytes=4, kept=2)
    for block in (b"1\n", b"2\n", b"3\n", b"44\n", b"5\n", b"6\n"):
        file.add(block)
    assert names(path.parent) == {"lines": "5\n6\n", "lines.1": "44\n", "lines.2": "3\n"}
    file.close()


def test_what_was_there_before_counts(path: Path) -> None:
    path.write_text("full\n")
    file = RotatedFile(path, rotate_bytes=6, kept=1)
    file.add(b"more\n")
    assert names(path.parent) == {"lines": "more\n", "lines.1": "full\n"}
    file.close()


def test_a_block_larger_than_a_file_may_be_has_one_for_itself(path: Path) -> None:
    file = RotatedFile(path, rotate_bytes=3, kept=3)
    for block in (b"larger\n", b"2\n"):
        file.add(block)
    assert names(path.parent) == {"lines": "2\n", "lines.1": "larger\n"}
    file.close()


def test_with_none_kept_the_file_begins_anew(path: Path) -> None:
    file = RotatedFile(path, rotate_bytes=2, kept=0)
    for block in (b"1\n", b"2\n"):
        file.add(block)
    assert names(path.parent) == {"lines": "2\n"}
    file.close()


def test_a_file_that_was_moved_away_is_made_anew(path: Path) -> None:
    file = RotatedFile(path)
    file.add(b"1\n")
    path.rename(path.with_name("moved"))
    file.add(b"2\n")
    assert names(path.parent) == {"moved": "1\n", "lines": "2\n"}
    path.unlink()
    file.add(b"3\n")
    assert path.read_text() == "3\n"
    file.close()


def test_a_file_that_was_replaced_is_left_alone_but_for_what_is_added(path: Path) -> None:
    file = RotatedFile(path)
    path.rename(path.with_name("moved"))
    path.write_text("theirs\n")
    file.add(b"ours\n")
    assert names(path.parent) == {"moved": "", "lines": "theirs\nours\n"}
    file.close()


def test_a_file_that_was_truncated_has_room_again(path: Path) -> None:
    file = RotatedFile(path, rotate_bytes=4, kept=1)
    file.add(b"123\n")
    path.write_text("")
    file.add(b"456\n")
    assert names(path.parent) == {"lines": "456\n"}
    file.close()


def test_a_closed_file_is_opened_again(path: Path) -> None:
    file = RotatedFile(path)
    file.close()
    file.add(b"1\n")
    assert path.read_text() == "1\n"
    file.close()


def test_no_half_block_stays_when_the_disk_is_full(path: Path) -> None:
    # A limit on the size of files is as good as a disk without room, and needs no disk.
    script = f"""
import pathlib, resource
from streams.sinks.rotated_file import RotatedFile
file = RotatedFile(pathlib.Path({str(path)!r}), sync=True)
file.add(b"whole\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
try:
    file.add(b"half of this\\n")
except OSError as error:
    print(error.strerror)
file.add(b"yes\\n")
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "File too large\n"
    assert path.read_text() == "whole\nyes\n"
