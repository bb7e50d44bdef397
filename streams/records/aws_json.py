"""AWS VPC Flow Logs as JSON objects with AWS's names, hyphens or underscores, numbers or strings."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from streams.records.aws_text import from_transit_gateway
from streams.records.contract import Dialect, Message, Read
from streams.records.fields import READABLE
from streams.records.joined import Joined
from streams.records.json_lines import JsonLines
from streams.records.settings import RecordSettings

_LOOKED_AT: Final = 1 << 16


@cache
def _field(path: tuple[str, ...]) -> str | None:
    name = path[-1].replace("_", "-")
    return name.replace("-", "_") if len(path) == 1 and name in READABLE else None


class AwsJson(Dialect):
    """One JSON object to a line, its keys AWS's field names."""

    name = "aws-json"
    begins = b"{"

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Look for keys that only flow logs have."""
        del settings
        value = message.value[:_LOOKED_AT]
        if b'"srcaddr"' in value:
            return True
        return (b'"log-status"' in value or b'"log_status"' in value) and b'"vpcflow"' not in value

    def read(self, messages: Sequence[Message], layout: str, settings: RecordSettings) -> Iterator[Read]:
        """Read the objects; keys that no flow log has are passed over."""
        del layout, settings
        return map(from_transit_gateway, JsonLines(Joined.of(messages), _field).read())
