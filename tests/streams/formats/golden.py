"""The golden files of formats; run as a program, it writes them anew."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from detectors.finding import Finding
from streams.formats import asff, facts, formats, syslog

GOLDEN: Final = Path(__file__).parents[2] / "golden" / "formats"

VERSION: Final = "0.1.0"
"""What golden files say of this program's version."""

HUB: Final = asff.Account(account_id="111122223333", region="eu-central-1")
SENT: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
HEADER: Final = syslog.Header(hostname="flowhawk.example")


def findings() -> list[Finding]:
    lines = (GOLDEN / "flowhawk.jsonl").read_text(encoding="utf-8").splitlines()
    return [Finding.model_validate_json(line) for line in lines]


WRITERS: Final[Mapping[str, Callable[[Finding], bytes]]] = {
    **{f"{name}.txt" if name == "cef" else f"{name}.jsonl": each.written for name, each in formats().items()},
    "asff.jsonl": lambda finding: TypeAdapter(dict).dump_json(asff.document(finding, HUB, SENT)),
    "syslog.txt": lambda finding: syslog.message(finding, formats()["cef"].written(finding), HEADER),
}
"""How the lines of each golden file are written."""


def text(write: Callable[[Finding], bytes]) -> str:
    lines = b"".join(write(finding) + b"\n" for finding in findings()).decode()
    # A new version is no other format.
    return lines.replace(f'"version":"{facts.product_version()}"', f'"version":"{VERSION}"').replace(
        f"|{facts.PRODUCT}|{facts.product_version()}|", f"|{facts.PRODUCT}|{VERSION}|"
    )


if __name__ == "__main__":
    for name, write in WRITERS.items():
        (GOLDEN / name).write_text(text(write), encoding="utf-8")
