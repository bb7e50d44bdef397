"""AWS in this process, with flow logs in it."""

import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote_plus

import boto3
from moto import mock_aws

BUCKET: Final = "flow-logs-of-a-test"
REGION: Final = "eu-west-1"
ACCOUNT: Final = "123456789012"


@contextmanager
def aws() -> Iterator[None]:
    """Give an AWS that is empty, in the place of the real one."""
    with mock_aws():
        yield


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)


def bucket() -> Any:
    """Return a client of S3 and see to it that the bucket is there."""
    s3 = client("s3")
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return s3


def key(time: datetime, *, account: str = ACCOUNT, region: str = REGION, hive: bool = False, number: int = 0) -> str:
    """Name an object as AWS does."""
    name = f"{account}_vpcflowlogs_{region}_fl-1234abcd_{time:%Y%m%dT%H%MZ}_{number:08x}.log.gz"
    if hive:
        return (
            f"AWSLogs/aws-account-id={account}/aws-service=vpcflowlogs/aws-region={region}/"
            f"year={time:%Y}/month={time:%m}/day={time:%d}/hour={time:%H}/{name}"
        )
    return f"AWSLogs/{account}/vpcflowlogs/{region}/{time:%Y/%m/%d}/{name}"


def put(s3: Any, name: str, lines: Sequence[str]) -> str:
    """Store lines, compressed, and return the ETag."""
    text = "".join(f"{line}\n" for line in lines).encode()
    stored = s3.put_object(Bucket=BUCKET, Key=name, Body=gzip.compress(text, mtime=0))
    etag: str = stored["ETag"].strip('"')
    return etag


def queue(name: str = "flow-logs") -> str:
    """See to it that a queue is there, and return its URL."""
    url: str = client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url


def event(name: str, etag: str, size: int = 100) -> dict[str, Any]:
    """Write what S3 tells of a new object."""
    stored = {"key": quote_plus(name), "size": size, "eTag": etag, "sequencer": "00"}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    return {"Records": [record | {"s3": {"bucket": {"name": BUCKET}, "object": stored}}]}


def send(url: str, body: Any) -> None:
    client("sqs").send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))


def left(url: str) -> int:
    """Count the messages of a queue, those that are worked on too."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    return sum(int(found[each]) for each in names)
