"""Findings in AWS Security Hub."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

import structlog

from detectors.finding import Finding
from streams.errors import SettingsError
from streams.formats import asff
from streams.sinks.contract import Delivery, Sink, Surroundings
from streams.sinks.siem_settings import SecurityHubSettings

log = structlog.get_logger(__name__)

BATCH: Final = 100
"""So many findings may be imported at a time."""

_PASSING: Final = ("Internal", "Limit", "Throttl", "TooMany", "ServiceUnavailable")
"""How the errors of single findings begin that go by."""

_UNREADABLE: Final = ("InvalidInput", "Validation", "Serialization")
"""How the errors begin that say that a request is no good. Others are about who asks, or go by: that can be mended."""


class SecurityHub(Sink):
    """Imports findings; a later state of a finding takes the place of the one before.

    Parameters
    ----------
    settings
        Where to.

    Raises
    ------
    streams.errors.SettingsError
        When boto3 is not installed, or does not know the profile.
    """

    name = "security_hub"
    settings = SecurityHubSettings
    # The settings say whether it is.
    hears_observed = True

    def __init__(self, settings: SecurityHubSettings) -> None:
        self._settings = settings
        self._client, partition = _client(settings)
        self._account = asff.Account(settings.account_id, settings.region, partition)

    @classmethod
    def make(cls, settings: SecurityHubSettings, surroundings: Surroundings) -> Self:
        """Make it; nobody need be reachable yet."""
        del surroundings
        return cls(settings)

    async def deliver(self, findings: Sequence[Finding]) -> Delivery:
        """Import the last state of each finding."""
        last = {each.id: each for each in self._settings.of(findings)}
        documents = [asff.document(each, self._account, datetime.now(UTC)) for each in last.values()]
        outcome = Delivery.DELIVERED
        for begin in range(0, len(documents), BATCH):
            delivery = await asyncio.to_thread(self._import, documents[begin : begin + BATCH])
            if delivery is Delivery.RETRY:
                return delivery
            if delivery is Delivery.HOPELESS:
                outcome = delivery
        return outcome

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _import(self, documents: Sequence[Mapping[str, Any]]) -> Delivery:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - comes with the extra aws

        try:
            answer = self._client.batch_import_findings(Findings=documents)
        except ClientError as error:
            code: str = error.response["Error"]["Code"]
            return self._refused(str(error), Delivery.HOPELESS if code.startswith(_UNREADABLE) else Delivery.RETRY)
        except BotoCoreError as error:
            return self._refused(str(error), Delivery.RETRY)
        failed: list[dict[str, str]] = answer.get("FailedFindings") or []
        if not failed:
            return Delivery.DELIVERED
        again = any(each["ErrorCode"].startswith(_PASSING) for each in failed)
        reasons = "; ".join(dict.fromkeys(f"{each['ErrorCode']}: {each['ErrorMessage']}" for each in failed))
        return self._refused(f"{len(failed)} findings: {reasons}", Delivery.RETRY if again else Delivery.HOPELESS)

    def _refused(self, reason: str, delivery: Delivery) -> Delivery:
        log.warning(
            "Security Hub does not take findings",
            sink=self.name,
            region=self._settings.region,
            reason=reason,
            again=delivery is Delivery.RETRY,
        )
        return delivery


def _client(settings: SecurityHubSettings) -> tuple[Any, str]:
    """Make a client of Security Hub, and name the partition of AWS that it is in."""
    try:
        import boto3  # noqa: PLC0415 - comes with the extra aws
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError(
            "sinks.security_hub: needs boto3, which is not installed; install it with: pip install 'flowhawk[aws]'"
        ) from error
    try:
        session = boto3.Session(profile_name=settings.profile, region_name=settings.region)
        client = session.client(
            "securityhub",
            endpoint_url=settings.endpoint_url,
            # Whoever calls the sink tries again, and waits longer each time.
            config=Config(
                connect_timeout=settings.timeout_seconds,
                read_timeout=settings.timeout_seconds,
                retries={"total_max_attempts": 1},
            ),
        )
        return client, str(session.get_partition_for_region(settings.region))
    except BotoCoreError as error:
        raise SettingsError(f"sinks.security_hub: {error}") from error
