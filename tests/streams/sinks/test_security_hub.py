import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from streams.errors import SettingsError
from streams.sinks import Delivery
from streams.sinks.security_hub import SecurityHub
from streams.sinks.siem_settings import SecurityHubSettings
from tests.streams.formats.golden import findings
from tests.streams.sinks.ends import End
from tests.streams.sinks.web_end import members, web_end
from tests.streams.web_server import Answer, web_server

ACCOUNT, REGION = "123456789012", "eu-central-1"
SOME = [each for each in findings() if not each.observed]


@asynccontextmanager
async def other_end(_: Path) -> AsyncIterator[End]:
    with pytest.MonkeyPatch.context() as patched:
        credentials_of(patched)
        async with web_end(
            lambda url: SecurityHubSettings(account_id=ACCOUNT, region=REGION, endpoint_url=url),
            lambda body: members(body, "Findings", "GeneratorId", "Description"),
            good=answer(),
            bad=answer(400, code="InvalidInputException"),
        ) as end:
            yield end


def credentials_of(patched: pytest.MonkeyPatch) -> None:
    patched.setenv("AWS_ACCESS_KEY_ID", "testing")
    patched.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patched.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials_of(monkeypatch)


@pytest.fixture
def hub() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("securityhub", region_name=REGION)
        client.enable_security_hub()
        yield client
        client.close()


def security_hub(**settings: Any) -> SecurityHub:
    return SecurityHub(SecurityHubSettings(account_id=ACCOUNT, region=REGION, **settings))


async def test_findings_are_imported(hub: Any) -> None:
    sink = security_hub()
    assert await sink.deliver(SOME) is Delivery.DELIVERED
    await sink.close()
    held = {each["Id"]: each for each in hub.get_findings()["Findings"]}
    assert set(held) == {f"flowhawk/{REGION}/{ACCOUNT}/{each.id}" for each in SOME}
    assert {each["ProductArn"] for each in held.values()} == {
        f"arn:aws:securityhub:{REGION}:{ACCOUNT}:product/{ACCOUNT}/default"
    }


async def test_a_later_state_takes_the_place_of_the_one_before(hub: Any) -> None:
    opened = SOME[0].model_copy(update={"status": "open"})
    closed = SOME[0].model_copy(update={"status": "closed"})
    sink = security_hub()
    states = []
    for batch in ([opened], [closed], [opened, closed]):
        assert await sink.deliver(batch) is Delivery.DELIVERED
        (held,) = hub.get_findings()["Findings"]
        states.append(held["RecordState"])
    assert states == ["ACTIVE", "ARCHIVED", "ARCHIVED"]
    await sink.close()


async def test_more_than_a_hundred_are_imported_in_several_requests() -> None:
    many = [SOME[0].model_copy(update={"id": f"{number:024}"}) for number in range(230)]
    async with web_server() as server:
        server.answers = [answer()]
        sink = security_hub(endpoint_url=server.url)
        assert await sink.deliver(many) is Delivery.DELIVERED
        await sink.close()
    assert [len(json.loads(posted.body)["Findings"]) for posted in server.posted] == [100, 100, 30]


async def test_nothing_is_asked_where_there_is_nothing_to_tell() -> None:
    async with web_server() as server:
        sink = security_hub(endpoint_url=server.url, least_severity="critical")
        assert await sink.deliver([]) is Delivery.DELIVERED
        assert await sink.deliver(SOME[:1]) is Delivery.DELIVERED
        await sink.close()
    assert server.posted == []


def answer(status: int = 200, *, code: str = "", failed: tuple[str, ...] = ()) -> Answer:
    if code:
        return Answer(status, {"x-amzn-ErrorType": code}, json.dumps({"Message": "no", "Code": code}).encode())
    errors = [{"Id": "x", "ErrorCode": each, "ErrorMessage": "no"} for each in failed]
    body = {"FailedCount": len(failed), "SuccessCount": 1, "FailedFindings": errors}
    return Answer(status, {"Content-Type": "application/json"}, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("said", "delivery"),
    [
        (answer(), Delivery.DELIVERED),
        (answer(429, code="TooManyRequestsException"), Delivery.RETRY),
        (answer(400, code="ThrottlingException"), Delivery.RETRY),
        (answer(429, code="LimitExceededException"), Delivery.RETRY),
        (answer(500, code="InternalException"), Delivery.RETRY),
        (answer(503), Delivery.RETRY),
        (answer(403, code="AccessDeniedException"), Delivery.RETRY),
        (answer(401, code="InvalidAccessException"), Delivery.RETRY),
        (answer(403, code="ExpiredTokenException"), Delivery.RETRY),
        (answer(400, code="InvalidInputException"), Delivery.HOPELESS),
        (answer(failed=("InvalidInput",)), Delivery.HOPELESS),
        (answer(failed=("InvalidInput", "InternalError")), Delivery.RETRY),
    ],
    ids=str,
)
async def test_answers_say_what_became_of_it(said: Answer, delivery: Delivery) -> None:
    async with web_server() as server:
        server.answers = [said]
        sink = security_hub(endpoint_url=server.url)
        assert await sink.deliver(SOME[:1]) is delivery
        await sink.close()
    assert len(server.posted) == 1


async def test_nobody_there_is_another_try() -> None:
    async with web_server() as server:
        pass
    sink = security_hub(endpoint_url=server.url)
    assert await sink.deliver(SOME[:1]) is Delivery.RETRY
    await sink.close()


def test_a_region_of_another_partition_is_told_by_its_name() -> None:
    sink = SecurityHub(SecurityHubSettings(account_id=ACCOUNT, region="us-gov-west-1"))
    assert sink._account.product_arn.startswith("arn:aws-us-gov:")


def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"sinks.security_hub: .*profile \(nobody\)"):
        security_hub(profile="nobody")


def test_without_boto3_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(SettingsError, match=r"pip install 'flowhawk\[aws\]'"):
        security_hub()
