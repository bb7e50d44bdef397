import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import InputError
from streams.sources.notifications import objects_of
from tests.streams.sources.aws import BUCKET, event

NAME = "AWSLogs/a=b/1_vpcflowlogs_eu-west-1_fl-1_20260105T0920Z_a b+c.log.gz"
BRIDGED = {
    "source": "aws.s3",
    "detail-type": "Object Created",
    "detail": {"bucket": {"name": BUCKET}, "object": {"key": NAME, "size": 100, "etag": "0a1b"}},
}


def wrapped(inside: object) -> dict[str, str]:
    return {"Type": "Notification", "Message": json.dumps(inside)}


@pytest.mark.parametrize("body", [event(NAME, "0a1b"), BRIDGED, wrapped(event(NAME, "0a1b")), wrapped(BRIDGED)])
def test_all_shapes_say_the_same(body: object) -> None:
    (found,) = objects_of(json.dumps(body))
    assert found == (BUCKET, NAME, "0a1b", 100, datetime(2026, 1, 5, 9, 20, tzinfo=UTC))


def test_one_message_may_tell_of_several_objects() -> None:
    several = {"Records": [*event("a", "1")["Records"], *event("b", "2")["Records"]]}
    assert [each.key for each in objects_of(json.dumps(several))] == ["a", "b"]


@pytest.mark.parametrize(
    "body",
    [
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET},
        {"Records": [event("a", "1")["Records"][0] | {"eventName": "ObjectRemoved:Delete"}]},
        BRIDGED | {"detail-type": "Object Deleted"},
        {"Records": []},
    ],
)
def test_what_tells_of_no_new_object_is_nothing_to_read(body: object) -> None:
    assert objects_of(json.dumps(body)) == []


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["Records", "Type", "Message", "s3", "eventName", "source", "Event"]), inside)
    ),
)


@given(body=JSON.map(json.dumps) | st.text())
def test_anything_else_tells_of_nothing_or_is_an_error_that_shows_it(body: str) -> None:
    found, said = [], ""
    try:
        found = objects_of(body)
    except InputError as error:
        said = str(error)
    assert found == []
    assert not said or said.startswith("a message that is no event of S3: ")
