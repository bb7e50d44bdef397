import gzip
import io
from typing import cast

import pytest
from isal import isal_zlib

from streams.sources.gunzip import Gunzip

TEXT = b"".join(b"line %d of many\n" % number for number in range(50_000))
MEMBER = gzip.compress(TEXT, mtime=0)
DAMAGED = cast("type[Exception]", isal_zlib.error)


def read(stored: bytes, *, size: int = 1_000, most: int = 4_096) -> tuple[bytes, Exception | None]:
    """Read all there is, and say how it ended."""
    found, reader = [], io.BufferedReader(Gunzip(io.BytesIO(stored), size), most)
    try:
        while data := reader.read1(most):
            found.append(data)
    except (EOFError, DAMAGED) as error:
        return b"".join(found), error
    return b"".join(found), None


@pytest.mark.parametrize("size", [1, 17, 1_000, 1 << 20])
@pytest.mark.parametrize("most", [1, 100, 4_096, 1 << 20])
def test_it_is_read_in_pieces_of_any_size(size: int, most: int) -> None:
    text = TEXT[:2_000]
    assert read(gzip.compress(text), size=size, most=most) == (text, None)


def test_members_follow_each_other_and_zeros_may_follow_them() -> None:
    assert read(MEMBER + gzip.compress(b"more") + bytes(5_000)) == (TEXT + b"more", None)
    assert read(gzip.compress(b"")) == (b"", None)


@pytest.mark.parametrize("size", [17, 1 << 20])
def test_what_comes_before_it_breaks_off_is_read(size: int) -> None:
    found, error = read(MEMBER[:-20], size=size)
    assert isinstance(error, EOFError)
    assert TEXT.startswith(found)
    assert len(found) > len(TEXT) - 1_000


@pytest.mark.parametrize("wrong", [MEMBER[:-8] + b"\xff" * 4 + MEMBER[-4:], MEMBER + b"this is no member of any"])
def test_damage_and_what_is_no_gzip_are_errors_behind_all_that_could_be_read(wrong: bytes) -> None:
    found, error = read(wrong)
    assert isinstance(error, DAMAGED)
    assert TEXT.startswith(found)
    assert len(found) > len(TEXT) - 5_000
