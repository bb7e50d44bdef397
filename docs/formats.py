"""What in docs/reference/finding.md and formats.md follows from the example."""  # noqa: INP001 - a folder of pages, not a package

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from click.testing import CliRunner

from detectors.finding import SEVERITIES, Finding
from docs.markdown import table
from streams import cli
from streams.formats import asff, cef, ecs, facts, formats, ocsf, syslog

EXAMPLE: Final = Path(__file__).parent / "examples" / "flows.log"

_HUB: Final = asff.Account(account_id="123456789010", region="eu-central-1")
_HEADER: Final = syslog.Header(hostname="flowhawk.example")


def severities_part() -> str:
    """Write a table of the severities in each format."""
    rows = [
        (
            f"`{severity}`",
            " ".join(map(str, ocsf.SEVERITIES[severity])),
            str(ecs.SEVERITIES[severity]),
            str(cef.SEVERITIES[severity]),
            str(syslog.SEVERITIES[severity]),
            asff.severity(severity),
        )
        for severity in SEVERITIES
    ]
    return table(("finding", "OCSF", "ECS", "CEF", "syslog", "Security Hub"), rows)


def finding_example() -> str:
    """Write the example finding as it is."""
    return _object(json.loads(_example().model_dump_json()))


@cache
def _example() -> Finding:
    """Return the first finding in the example file."""
    ran = CliRunner().invoke(cli.command, ["detect", str(EXAMPLE)], catch_exceptions=False)
    return Finding.model_validate_json(ran.stdout.splitlines()[0])


def _object(document: Any) -> str:
    return f"```json\n{json.dumps(document, indent=2)}\n```"


def _line(text: bytes) -> str:
    return f"```text\n{text.decode()}\n```"


def _in(name: str) -> bytes:
    return formats()[name].written(_example())


def _message() -> bytes:
    return syslog.message(_example(), _in("cef"), _HEADER)


def _asff() -> dict[str, Any]:
    return asff.document(_example(), _HUB, datetime.fromtimestamp(facts.changed(_example()), UTC))


EXAMPLES: Final[Mapping[str, Callable[[], str]]] = {
    "example": finding_example,
    "format-ocsf": lambda: _object(json.loads(_in("ocsf"))),
    "format-ecs": lambda: _object(json.loads(_in("ecs"))),
    "format-cef": lambda: _line(_in("cef")),
    "format-syslog": lambda: _line(_message()),
    "format-asff": lambda: _object(_asff()),
}
"""What can be made of the example finding."""
