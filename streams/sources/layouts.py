"""How AWS lays out flow logs in a bucket: its own folders by day, and hive-compatible ones.

https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

_NAMED_TIME: Final = re.compile(r"_(\d{8}T\d{4})Z_")
_ACCOUNT: Final = re.compile(r"\d{12}")
_PARTS: Final = ("year", "month", "day", "hour")
_DIGITS: Final = (4, 2, 2, 2)
_SERVICE: Final = "vpcflowlogs"


class Partition(NamedTuple):
    """What a path says of the objects below it.

    Attributes
    ----------
    account, region
        Whose they are; None where the path does not say.
    parts
        Year, month, day and hour in UTC, as many as the path says.
    """

    account: str | None
    region: str | None
    parts: tuple[int, ...]

    @property
    def period(self) -> tuple[datetime, datetime] | None:
        """The time that the objects are of, the end excluded; None where the path does not say, or nonsense."""
        if not self.parts:
            return None
        year, month, day, hour = (*self.parts, *(1, 1, 0)[len(self.parts) - 1 :])
        try:
            start = datetime(year, month, day, hour, tzinfo=UTC)
        except ValueError:
            return None
        return start, _end(start, len(self.parts))


def partition(path: str) -> Partition:
    """Read what the folders of a path say.

    >>> partition("logs/AWSLogs/123456789012/vpcflowlogs/eu-west-1/2026/01/")
    Partition(account='123456789012', region='eu-west-1', parts=(2026, 1))
    >>> partition("AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2026/").parts
    (2026,)
    """
    account: str | None = None
    region: str | None = None
    parts: list[int] = []
    before = ""
    for folder in path.split("/")[:-1]:
        key, equals, value = folder.partition("=")
        if equals:
            if key == "aws-account-id":
                account = value
            elif key == "aws-region":
                region = value
            elif len(parts) < len(_PARTS) and key == _PARTS[len(parts)] and value.isdecimal():
                parts.append(int(value))
        elif before == _SERVICE:
            region = folder
        elif region is None and _ACCOUNT.fullmatch(folder):
            account = folder
        elif region is not None and folder.isdecimal() and len(folder) == (*_DIGITS, 0)[len(parts)]:
            parts.append(int(folder))
        before = folder
    return Partition(account, region, tuple(parts))


def time_of(key: str) -> datetime | None:
    """Tell the time of an object from its name, or else from its folders; None where neither says.

    >>> time_of("AWSLogs/123456789012_vpcflowlogs_eu-west-1_fl-1234abcd_20260105T0920Z_0a1b2c3d.log.gz").isoformat()
    '2026-01-05T09:20:00+00:00'
    """
    named = _NAMED_TIME.search(key.rpartition("/")[2])
    if named is not None:
        try:
            return datetime.strptime(named[1], "%Y%m%dT%H%M").replace(tzinfo=UTC)
        except ValueError:
            pass
    period = partition(key).period
    return None if period is None else period[0]


def _end(start: datetime, depth: int) -> datetime:
    if depth == 1:
        return start.replace(year=start.year + 1)
    if depth == 2:
        return (start + timedelta(days=31)).replace(day=1)
    return start + (timedelta(days=1) if depth == 3 else timedelta(hours=1))
