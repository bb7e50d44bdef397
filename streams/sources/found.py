"""What a place on the command line stands for: files behind patterns and folders, and files to follow."""

import glob
from pathlib import Path
from urllib.parse import quote

from streams.errors import InputError
from streams.sources.followed import SCHEME


def found(place: str) -> list[str]:
    """Name the files of a pattern or a folder, whatever is below it; any other place is itself.

    Raises
    ------
    streams.errors.InputError
        When there is none.

    Examples
    --------
    >>> found("flows.log"), found("s3://bucket/*")
    (['flows.log'], ['s3://bucket/*'])
    """
    if not _is_path(place) or not (Path(place).is_dir() or (glob.has_magic(place) and not Path(place).exists())):
        return [place]
    pattern = f"{glob.escape(place)}/**" if Path(place).is_dir() else place
    # It leaves out hidden files, as a shell does.
    files = sorted(path for path in glob.glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207 - a pattern may be absolute
    if not files:
        raise InputError(f"{place}: there is no file")
    return files


def followed(place: str) -> str:
    """Name the place that follows a path; any other place is itself.

    >>> followed("/var/log/flows/a?.log"), followed("s3://bucket/")
    ('follow:///var/log/flows/a%3F.log', 's3://bucket/')
    """
    return f"{SCHEME}{quote(str(Path(place).absolute()), safe='/*[]!-')}" if _is_path(place) else place


def _is_path(place: str) -> bool:
    return "://" not in place and place != "-"
