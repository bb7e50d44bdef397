"""The shape of the repository: small modules, quick imports, tests for each module, and nothing of one machine."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
PACKAGES: Final = ("detectors", "streams")
LINES: Final = 400
IMPORT_SECONDS: Final = 3.0
"""A second is the aim; a busy machine takes longer."""

CLIENTS: Final = {"aiokafka", "confluent_kafka", "faust", "kafka"}

TESTED_ELSEWHERE: Final = {
    "detectors/state.py": "tests/streams/test_durable.py",
    "detectors/contract.py": "tests/contract/test_detectors.py",
    "detectors/view.py": "tests/detectors/test_watch.py",
    "detectors/statistics/forwarders.py": "tests/streams/test_true_ends.py",
    "detectors/statistics/column_baseline.py": "tests/detectors/statistics/test_baselines.py",
    "detectors/statistics/recent.py": "tests/detectors/statistics/test_baselines.py",
    "streams/alertmanager/surge.py": "tests/streams/alertmanager/test_book.py",
    "streams/app.py": "tests/streams/test_transport.py",
    "streams/block_settings.py": "tests/streams/sources/test_cutter.py",
    "streams/oauth_settings.py": "tests/streams/test_tokens.py",
    "streams/opened.py": "tests/streams/test_ingest_metrics.py",
    "streams/progress.py": "tests/streams/commands/test_publish.py",
    "streams/publishing.py": "tests/streams/commands/test_publish.py",
    "streams/sources/growing.py": "tests/streams/sources/test_followed.py",
    "streams/checkpoint_settings.py": "tests/streams/test_settings.py",
    "streams/commands/generate.py": "tests/streams/generate/test_command.py",
    "streams/commands/topics.py": "tests/streams/test_topics.py",
    "streams/declared_metrics.py": "tests/streams/test_metrics.py",
    "streams/errors.py": "tests/streams/test_cli.py",
    "streams/formats/contract.py": "tests/contract/test_formats.py",
    "streams/formats/facts.py": "streams/formats/facts.py",
    "streams/formats/flowhawk.py": "tests/contract/test_formats.py",
    "streams/generate/actors.py": "tests/streams/generate/test_attacks.py",
    "streams/generate/attacks.py": "tests/streams/generate/test_episodes.py",
    "streams/generate/background.py": "tests/streams/generate/test_traffic.py",
    "streams/generate/busy_hosts.py": "tests/streams/generate/test_lookalikes.py",
    "streams/generate/conversation.py": "tests/streams/generate/test_reports.py",
    "streams/generate/episode.py": "tests/streams/generate/test_episodes.py",
    "streams/generate/guesses.py": "tests/streams/generate/test_attacks.py",
    "streams/generate/leaks.py": "tests/streams/generate/test_attacks.py",
    "streams/generate/transfers.py": "tests/streams/generate/test_lookalikes.py",
    "detectors/guesses.py": "tests/detectors/test_brute_force.py",
    "detectors/uploads.py": "tests/detectors/test_exfiltration.py",
    "detectors/snapshot.py": "tests/detectors/test_checks.py",
    "streams/generate/lookalikes.py": "tests/streams/generate/test_episodes.py",
    "streams/generate/network.py": "tests/streams/generate/test_traffic.py",
    "streams/generate/patterns.py": "tests/streams/generate/test_episodes.py",
    "streams/generate/scans.py": "tests/streams/generate/test_attacks.py",
    "streams/generate/text.py": "tests/streams/generate/test_traffic.py",
    "streams/http_settings.py": "tests/streams/test_settings.py",
    "streams/ingest_settings.py": "tests/streams/test_settings.py",
    "streams/selection_settings.py": "tests/streams/test_selection.py",
    "streams/positions.py": "tests/streams/test_transactions.py",
    "streams/kafka_settings.py": "tests/streams/test_settings.py",
    "streams/log_settings.py": "tests/streams/test_settings.py",
    "detectors/digits.py": "tests/detectors/test_texts.py",
    "detectors/written_addresses.py": "tests/detectors/test_addresses.py",
    "streams/commands/parse.py": "tests/streams/records/test_parse.py",
    "streams/watchdog.py": "streams/watchdog.py",
    "streams/records/aws_json.py": "tests/streams/records/test_dialects.py",
    "streams/records/aws_text.py": "tests/streams/records/test_text.py",
    "streams/records/byte_order_mark.py": "tests/streams/records/test_dialects.py",
    "streams/records/check.py": "tests/streams/records/test_text.py",
    "streams/records/cloudwatch.py": "tests/streams/records/test_dialects.py",
    "streams/records/complete.py": "tests/streams/records/test_text.py",
    "streams/records/compression.py": "tests/streams/records/test_anything.py",
    "streams/records/contract.py": "tests/contract/test_dialects.py",
    "streams/records/decode.py": "tests/contract/test_dialects.py",
    "streams/records/ecs.py": "tests/streams/records/test_schemas.py",
    "streams/records/fields.py": "tests/streams/records/test_text.py",
    "streams/records/json_lines.py": "tests/streams/records/test_dialects.py",
    "streams/records/lines.py": "tests/streams/records/test_text.py",
    "streams/records/objects.py": "tests/streams/records/test_dialects.py",
    "streams/records/ocsf.py": "tests/streams/records/test_schemas.py",
    "streams/records/parquet.py": "tests/streams/records/test_dialects.py",
    "streams/records/schema_json.py": "tests/streams/records/test_schemas.py",
    "streams/records/transit_gateway.py": "tests/streams/records/test_golden.py",
    "streams/records/settings.py": "tests/streams/test_settings.py",
    "streams/sinks/contract.py": "tests/contract/test_sinks.py",
    "streams/sources/contract.py": "tests/contract/test_sources.py",
    "streams/sources/generated.py": "tests/streams/generate/test_source.py",
    "streams/sources/aws.py": "tests/streams/sources/test_s3.py",
    "streams/sources/objects.py": "tests/streams/sources/test_s3.py",
    "streams/sources/posted.py": "tests/streams/sources/test_endpoint.py",
    "streams/sources/receiver.py": "tests/streams/sources/test_endpoint.py",
    "streams/sources/tables.py": "tests/streams/sources/test_s3.py",
    "streams/sources/lines.py": "tests/streams/sources/test_files.py",
}
"""Modules whose tests bear another name, with the file that holds them: their own where they are doctests."""

# Put together here, so that this file does not hold what it looks for.
REGISTRIES: Final = tuple(
    ".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("repo1", "maven"), ("npmjs", "org"))
)
MACHINE_PATH: Final = re.compile(r"(?<![\w.])/(work|home|root|Users|tmp)/[a-z]")


def python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((ROOT / folder).rglob("*.py"))


def names(paths: Iterator[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def committed() -> list[str]:
    """List the files that are, or are to be, committed."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("name", names(python_files(*PACKAGES, "tests", "benchmarks", "evaluation", "docs")))
def test_modules_are_small(name: str) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= LINES


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_alone_and_quickly_without_a_client_of_kafka(package: str) -> None:
    script = f"import sys, {package}; print(*sorted({CLIENTS!r} & set(sys.modules)))"
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert time.monotonic() - begun < IMPORT_SECONDS
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_detectors_import_without_the_service() -> None:
    modules = [name.removesuffix(".py").replace("/", ".") for name in names(python_files("detectors"))]
    script = (
        f"import sys, {', '.join(modules)}; "
        "print(*sorted(each for each in sys.modules if each.split('.')[0] == 'streams'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


@pytest.mark.parametrize("name", [name for name in names(python_files(*PACKAGES)) if not name.endswith("__init__.py")])
def test_every_module_has_its_tests(name: str) -> None:
    path = Path(name)
    own = Path("tests") / path.parent / f"test_{path.name}"
    holder = own if (ROOT / own).is_file() else Path(TESTED_ELSEWHERE.get(name, own))
    assert (ROOT / holder).is_file(), f"write {own}, or say in TESTED_ELSEWHERE where {name} is tested"
    assert re.search(r"^ *(async )?def test_|^ *>>> ", (ROOT / holder).read_text(), re.MULTILINE), holder


def test_every_module_that_is_listed_is_there() -> None:
    assert [name for name in TESTED_ELSEWHERE if not (ROOT / name).is_file()] == []


def test_no_file_names_a_package_registry_or_a_path_of_some_machine() -> None:
    found: list[str] = []
    for name in committed():
        with suppress(UnicodeDecodeError):
            text = (ROOT / name).read_text(encoding="utf-8")
            found += [f"{name}: {registry}" for registry in REGISTRIES if registry in text]
            found += [f"{name}: {path.group()}" for path in MACHINE_PATH.finditer(text)]
    assert found == []


def test_the_patterns_find_what_they_look_for() -> None:
    for folder in ("work", "home", "root", "Users", "tmp"):
        assert MACHINE_PATH.search(f'see "/{folder}/me/flows.log"')
        assert not MACHINE_PATH.search(f"GET /metrics of ./{folder}/flows and config/{folder}/x")
