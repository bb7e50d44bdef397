"""Flow logs in S3: `s3://bucket/prefix?from=2026-01-05&to=2026-01-06`."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field

from streams.block_settings import BlockSettings, of_bytes
from streams.errors import InputError
from streams.records.contract import FORMAT_HEADER
from streams.sources.aws import AwsSettings, client, told
from streams.sources.contract import Block, Position, Source
from streams.sources.layouts import Partition, partition, time_of
from streams.sources.lines import BLOCK_BYTES
from streams.sources.objects import ObjectReader, StoredObject
from streams.sources.places import bare, parameters

_SCHEME: Final = "s3://"
_HOUR_OR_DAY: Final = 3


def _in_utc(time: datetime) -> datetime:
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


Time = Annotated[datetime, AfterValidator(_in_utc)]


class S3Settings(AwsSettings):
    """Parameters of `s3://`."""

    start: Time | None = Field(
        default=None, alias="from", description="First time of objects to read, as their names say; UTC unless written."
    )
    end: Time | None = Field(default=None, alias="to", description="First time of objects not to read any more.")
    account: tuple[str, ...] = Field(default=(), description="Accounts to read, each given once; else all.")
    log_region: tuple[str, ...] = Field(default=(), description="Regions whose logs to read; else all.")
    format: str | None = Field(default=None, description="Fields of lines without a header line, in order.")
    parallel: int = Field(default=8, ge=1, le=32, description="How many objects are fetched at a time.")

    def wants(self, where: Partition) -> bool:
        """Say whether there may be something to read below a path."""
        if self.account and where.account is not None and where.account not in self.account:
            return False
        if self.log_region and where.region is not None and where.region not in self.log_region:
            return False
        period = where.period
        return period is None or not (
            (self.start is not None and period[1] <= self.start) or (self.end is not None and period[0] >= self.end)
        )

    def wants_time(self, time: datetime) -> bool:
        """Say whether an object of this time is to be read."""
        return (self.start is None or time >= self.start) and (self.end is None or time < self.end)

    @property
    def selects(self) -> bool:
        """Whether it leaves out anything."""
        return bool(self.start or self.end or self.account or self.log_region)


class S3Source(Source):
    """The objects below a prefix, in the order of the times in their names.

    Positions are offsets into the text of an object, which is told from others by its ETag.
    """

    name = "s3"
    written = "s3://BUCKET/PREFIX"
    settings = S3Settings

    def __init__(self, place: str, s3: Any, settings: S3Settings, *, block_bytes: int = BLOCK_BYTES) -> None:
        bucket, prefix = _location(place)
        with told(bare(place)):
            found = list(_listed(s3, bucket, prefix, settings))
        if not found:
            raise InputError(f"{bare(place)}: holds no object to read; check the prefix, from, to and account")
        self._objects = sorted(found, key=lambda each: (each.time, each.key))
        headers = {} if settings.format is None else {FORMAT_HEADER: settings.format.encode()}
        self._failures: list[InputError] = []
        self._reader = ObjectReader(
            s3, parallel=settings.parallel, headers=headers, told=self._read, cut=of_bytes(block_bytes)
        )
        self._positions: Mapping[str, Position] = {}

    @classmethod
    def takes(cls, place: str) -> bool:
        """Take `s3://` and anything behind it."""
        return place.startswith(_SCHEME)

    @classmethod
    def at(cls, place: str) -> Self:
        """List the objects of a place.

        Raises
        ------
        InputError
            When there are none, or they may not be listed.
        """
        settings = parameters(place, S3Settings)
        return cls(place, client("s3", settings, bare(place)), settings)

    @property
    def size(self) -> int:
        """Stored bytes of all objects."""
        return sum(each.size for each in self._objects)

    @property
    def consumed(self) -> int:
        """Stored bytes read so far, or known to be in Kafka."""
        return self._reader.consumed

    def blocks(self) -> Iterator[Block]:
        """Read object after object; those that cannot be read are named at the end."""
        yield from self._reader.read(self._objects, self._positions)
        if self._failures:
            raise InputError("\n".join(map(str, self._failures)))

    def resume(self, positions: Mapping[str, Position]) -> None:
        """Leave out objects, and parts of them, that Kafka has."""
        self._positions = positions

    def cut_into(self, settings: BlockSettings) -> None:
        """Cut the text of objects so."""
        self._reader.cut = settings

    def acknowledge(self, block: Block) -> None:
        """Nothing to do: S3 keeps no position."""
        del block

    def _read(self, one: StoredObject, error: InputError | None) -> None:
        del one
        if error is not None:
            self._failures.append(error)


def _location(place: str) -> tuple[str, str]:
    parts = urlsplit(place)
    if not parts.netloc:
        raise InputError(f"{bare(place)}: names no bucket; write s3://bucket/prefix")
    return parts.netloc, unquote(parts.path).removeprefix("/")


def _listed(s3: Any, bucket: str, prefix: str, settings: S3Settings) -> Iterator[StoredObject]:
    """List objects; folders that cannot hold what is wanted are not looked into."""
    if settings.selects and len(partition(prefix).parts) < _HOUR_OR_DAY:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
            yield from _wanted(page, bucket, settings)
            for folder in page.get("CommonPrefixes", ()):
                if settings.wants(partition(folder["Prefix"])):
                    yield from _listed(s3, bucket, folder["Prefix"], settings)
        return
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from _wanted(page, bucket, settings)


def _wanted(page: Mapping[str, Any], bucket: str, settings: S3Settings) -> Iterator[StoredObject]:
    for each in page.get("Contents", ()):
        key, size = each["Key"], each["Size"]
        time = time_of(key) or each["LastModified"]
        if size and settings.wants(partition(key)) and settings.wants_time(time):
            yield StoredObject(bucket, key, each["ETag"].strip('"'), size, time)
