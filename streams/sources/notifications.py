"""What S3 says of new objects: its own events, those of EventBridge, and either inside a message of SNS.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from streams.errors import InputError
from streams.sources.layouts import time_of
from streams.sources.objects import StoredObject

_DEEPEST: Final = 3
"""Messages of SNS inside each other that are opened."""


def objects_of(body: str) -> list[StoredObject]:
    """Read which objects are new.

    Parameters
    ----------
    body
        The body of a message.

    Returns
    -------
    list of StoredObject
        None where it tells of something else, such as a test of the notifications or an object that was deleted.

    Raises
    ------
    streams.errors.InputError
        When it is no such message.
    """
    try:
        return list(_objects(json.loads(body), _DEEPEST))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"a message that is no event of S3: {body[:200]!r} ({error!r})") from error


def _objects(event: Any, deepest: int) -> Iterator[StoredObject]:
    if event.get("Type") == "Notification" and deepest:
        yield from _objects(json.loads(event["Message"]), deepest - 1)
    elif "Records" in event:
        for record in event["Records"]:
            if record["eventName"].removeprefix("s3:").startswith("ObjectCreated:"):
                stored = record["s3"]["object"]
                # Only here, keys are written as in a form.
                yield _object(record["s3"]["bucket"]["name"], unquote_plus(stored["key"]), stored.get("eTag"), stored)
    elif event.get("source") == "aws.s3":
        if event["detail-type"] == "Object Created":
            stored = event["detail"]["object"]
            yield _object(event["detail"]["bucket"]["name"], stored["key"], stored.get("etag"), stored)
    elif event.get("Event") != "s3:TestEvent":
        raise ValueError("neither Records nor source nor Message")


def _object(bucket: str, key: str, etag: str | None, stored: Any) -> StoredObject:
    return StoredObject(bucket, key, (etag or "").strip('"'), int(stored.get("size", 0)), time_of(key) or _EPOCH)


_EPOCH: Final = datetime.fromtimestamp(0, UTC)
