"""AWS Transit Gateway Flow Logs (https://docs.aws.amazon.com/vpc/latest/tgw/tgw-flow-logs.html)."""

from typing import Final

from streams.records.aws_text import AwsText
from streams.records.contract import Message
from streams.records.settings import RecordSettings

TRANSIT_GATEWAY_FORMAT: Final = (
    "version resource-type account-id tgw-id tgw-attachment-id tgw-src-vpc-account-id tgw-dst-vpc-account-id "
    "tgw-src-vpc-id tgw-dst-vpc-id tgw-src-subnet-id tgw-dst-subnet-id tgw-src-eni tgw-dst-eni tgw-src-az-id "
    "tgw-dst-az-id tgw-pair-attachment-id srcaddr dstaddr srcport dstport protocol packets bytes start end "
    "log-status type packets-lost-no-route packets-lost-blackhole packets-lost-mtu-exceeded "
    "packets-lost-ttl-expired tcp-flags region flow-direction pkt-src-aws-service pkt-dst-aws-service"
)
"""Fields of version 6 in their default order."""


class TransitGateway(AwsText):
    """Lines of version 6 in the default format; those with a header line are read as any other text."""

    name = "aws-transit-gateway"
    begins = b"6"
    last = False

    def recognises(self, message: Message, settings: RecordSettings) -> bool:
        """Look at the first two fields."""
        del settings
        return message.value.lstrip()[:17] in {b"6 TransitGateway ", b"6\tTransitGateway\t", b"6,TransitGateway,"}

    def formats(self, settings: RecordSettings) -> tuple[str, ...]:
        """Return the default format."""
        del settings
        return (TRANSIT_GATEWAY_FORMAT,)
