from pathlib import Path

import pytest

from streams.errors import InputError
from streams.sources import source_at
from streams.sources.followed import FollowedSource
from streams.sources.found import followed, found


def test_a_folder_stands_for_all_below_it_but_what_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("a.log", "b/c.log.gz", ".hidden"):
        (tmp_path / name).touch()
    assert found(str(tmp_path)) == [f"{tmp_path}/a.log", f"{tmp_path}/b/c.log.gz"]


def test_a_pattern_stands_for_what_fits_it(tmp_path: Path) -> None:
    for name in ("a1.log", "a2.log", "b.log"):
        (tmp_path / name).touch()
    assert found(f"{tmp_path}/a?.log") == [f"{tmp_path}/a1.log", f"{tmp_path}/a2.log"]
    (tmp_path / "a[1].log").touch()
    assert found(f"{tmp_path}/a[1].log") == [f"{tmp_path}/a[1].log"]


@pytest.mark.parametrize("place", ["s3://bucket/*.log", "-", "absent.log"])
def test_any_other_place_is_itself(place: str) -> None:
    assert found(place) == [place]


def test_where_there_is_no_file_that_is_a_mistake(tmp_path: Path) -> None:
    for place in (str(tmp_path), f"{tmp_path}/*.log"):
        with pytest.raises(InputError, match="there is no file"):
            found(place)


def test_paths_are_followed_and_other_places_are_not() -> None:
    assert isinstance(source_at(followed("flows 1/a?#b.log")), FollowedSource)
    assert followed("-") == "-"
    assert followed("s3://bucket/x") == "s3://bucket/x"
