import ast
import doctest
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from itertools import pairwise
from pathlib import Path

import click
import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from detectors.addresses import LOCAL_NETWORKS, PRIVATE_NETWORKS
from detectors.catalogue import cards
from detectors.finding import json_schema
from docs import generate
from streams import cli
from streams.alertmanager.alerts import SURGE
from streams.cases import Cases
from streams.declared_metrics import DECLARED
from streams.kafka_settings import TopicSettings
from streams.records.fields import READABLE
from streams.settings import PREFIX, Settings, keys, load
from streams.sink_settings import sinks
from tests.markdown import Fence, anchors, linked, links, prose, read, section, segments, split

ROOT = generate.ROOT
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
CONFIGURATION = ROOT / "config" / "flowhawk.yaml"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
BINARIES = Path(sys.executable).parent
EXAMPLE_NETWORKS = [
    ip_network(text)
    for text in (
        *PRIVATE_NETWORKS,
        *LOCAL_NETWORKS,
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"),
        *("0.0.0.0/32", "::/128"),
    )
]


FENCES = [fence for page in PAGES for fence in split(page)[1]]


def typed(program: str) -> list[tuple[str, list[str]]]:
    """Return the arguments of a program wherever an example calls it, and the place."""
    return [
        (str(fence), command[1:])
        for fence in FENCES
        for line in fence.commands
        for command in segments(line)
        if command and Path(command[0]).name == program
    ]


def commands() -> list[click.Context]:
    root = click.Context(cli.command, info_name="flowhawk", **cli.command.context_settings)
    return list(generate.contexts(root))


def parse(context: click.Context, arguments: Sequence[str]) -> None:
    """Parse arguments the way the command line does, and run nothing."""
    command = context.command
    if isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        inner = command.get_command(context, arguments[0])
        assert inner is not None, f"{context.command_path} has no command {arguments[0]!r}"
        parse(click.Context(inner, parent=context, info_name=arguments[0]), arguments[1:])
        return
    with suppress(click.exceptions.Exit):
        command.make_context(context.info_name, list(arguments), parent=context.parent)


def test_what_follows_from_the_code_is_up_to_date() -> None:
    # In a process of its own: click remembers the options of commands that other tests have called.
    checked = subprocess.run(
        [sys.executable, "-m", "docs.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def test_check_names_stale_files_and_writing_makes_them_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("docs", "config"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    assert CliRunner().invoke(generate.main, []).exit_code == 0
    page, settings = tmp_path / "docs" / "reference" / "metrics.md", tmp_path / "config" / "flowhawk.yaml"
    good = read(page)
    page.write_text(good.replace("| gauge |", "| counter |"), encoding="utf-8")
    settings.unlink()
    checked = CliRunner().invoke(generate.main, ["--check"])
    assert checked.exit_code == 1
    assert [line.partition(":")[0] for line in checked.output.splitlines()] == [
        "config/flowhawk.yaml",
        "docs/reference/metrics.md",
    ]
    assert not settings.exists()
    assert CliRunner().invoke(generate.main, []).exit_code == 0
    assert read(page) == good
    assert CliRunner().invoke(generate.main, ["--check"]).exit_code == 0


def test_every_part_that_can_be_made_is_on_a_page() -> None:
    marks = [name for page in PAGES for name in re.findall(r"<!-- made: ([a-z-]+) -->", read(page))]
    assert sorted(marks) == sorted(generate.PARTS)


@pytest.mark.parametrize("key", [key for key, _, _ in keys()])
def test_every_setting_is_in_the_reference_and_in_the_annotated_file(key: str) -> None:
    assert f"| `{key}` |" in section(REFERENCE / "settings.md", key.partition(".")[0])
    held = yaml.safe_load(read(CONFIGURATION))
    for part in key.split("."):
        assert part in held
        held = held[part]


def test_the_annotated_file_holds_the_defaults() -> None:
    assert load(CONFIGURATION) == load()


def test_every_line_of_the_annotated_file_that_sets_something_has_a_comment_above_it() -> None:
    lines = read(CONFIGURATION).splitlines()
    bare = [line for above, line in pairwise(lines) if re.match(r" *\w+:", line) and "#" not in above]
    assert bare == []


def test_the_parameters_in_the_annotated_file_are_the_defaults_of_the_detectors(tmp_path: Path) -> None:
    _, _, behind = read(CONFIGURATION).partition("\ndetectors:\n")
    block = [line[1:] for line in behind.partition("\n\n")[0].splitlines()]
    path = tmp_path / "flowhawk.yaml"
    path.write_text("\n".join(["detectors:", *block]), encoding="utf-8")
    expected = {
        kind: {parameter.name: parameter.default for parameter in card.parameters} for kind, card in cards().items()
    }
    assert load(path).detectors == expected


@pytest.mark.parametrize("name", DECLARED)
def test_every_metric_is_documented(name: str) -> None:
    assert f"| `{name}` |" in section(REFERENCE / "metrics.md", "Metrics")


@pytest.mark.parametrize("kind", cards())
def test_every_detector_is_documented_with_its_parameters(kind: str) -> None:
    card, text = cards()[kind], section(REFERENCE / "detectors.md", kind)
    for expected in (card.sees, card.response, *card.false_positives, *card.mitre):
        assert expected in text
    assert [f"| `{each.name}` |" in text for each in card.parameters] == [True] * len(card.parameters)


@pytest.mark.parametrize("context", commands(), ids=lambda context: context.command_path)
def test_every_command_is_documented_with_its_options(context: click.Context) -> None:
    text = section(REFERENCE / "commands.md", context.command_path)
    for parameter in context.command.get_params(context):
        names = parameter.opts if isinstance(parameter, click.Option) else [parameter.make_metavar(context)]
        assert [name for name in names if name not in text] == []


def test_every_topic_is_documented() -> None:
    topics = TopicSettings().all
    assert [topic.name for topic in topics if f"| `{topic.name}` |" not in read(REFERENCE / "topics.md")] == []
    assert [topic.name for topic in topics if not section(REFERENCE / "topics.md", topic.name).strip()] == []


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    rules = yaml.safe_load(read(ROOT / generate.RULES))
    alerts = {SURGE, *(rule["alert"] for group in rules["groups"] for rule in group["rules"])}
    runbooks = {path.stem: path for path in (DOCS / "runbooks").glob("*.md") if path.name != "README.md"}
    assert set(runbooks) == alerts
    assert {name: read(path).splitlines()[0] for name, path in runbooks.items()} == {
        name: f"# {name}" for name in alerts
    }
    assert set(runbooks.values()) <= linked(DOCS / "runbooks" / "README.md")


def test_the_finding_that_is_shown_fits_the_schema_that_is_published() -> None:
    (example,) = (fence for fence in FENCES if fence.page.name == "finding.md" and fence.info == "json")
    schema = json.loads(read(REFERENCE / "finding.schema.json"))
    assert schema == json_schema()
    jsonschema.validate(json.loads(example.text), schema, jsonschema.Draft202012Validator)


def test_the_map_of_the_code_names_every_package() -> None:
    inits = [path for name in ("streams", "detectors") for path in (ROOT / name).rglob("__init__.py")]
    packages = [".".join(path.parent.relative_to(ROOT).parts) for path in inits]
    text = section(DOCS / "explanation" / "architecture.md", "What lies where")
    assert [name for name in packages if f"| `{name}` |" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.relative_to(ROOT)} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.relative_to(ROOT)} links to {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    ahead = {ROOT / "README.md"}
    while ahead:
        page = ahead.pop()
        reached.add(page)
        ahead |= {path for path in linked(page) if path.suffix == ".md" and path.exists()} - reached
    assert [str(page.relative_to(ROOT)) for page in PAGES if page not in reached] == []


@pytest.mark.parametrize("path", [*PAGES, CONFIGURATION, *(DOCS / "examples").iterdir()], ids=lambda path: path.name)
def test_addresses_are_from_the_ranges_for_examples_or_private(path: Path) -> None:
    text = read(path)
    written = re.findall(r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\w)", text)
    for token in re.findall(r"(?<![\w:.])[0-9A-Fa-f]*(?::[0-9A-Fa-f]*){2,}(?![\w:.])", text):
        with suppress(ValueError):
            written.append(str(ip_address(token)))
    assert [each for each in written if not any(ip_address(each) in network for network in EXAMPLE_NETWORKS)] == []


@pytest.mark.parametrize(("place", "arguments"), typed("flowhawk"))
def test_examples_of_the_command_line_are_understood(
    place: str, arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flowhawk.yaml").touch()
    try:
        parse(commands()[0], arguments)
    except click.ClickException as error:
        pytest.fail(f"{place}: {error.format_message()}")


def test_commands_named_in_the_text_exist() -> None:
    known = {context.info_name for context in commands()}
    named = {name for page in PAGES for name in re.findall(r"`flowhawk ([a-z][a-z-]*)", prose(page))}
    assert named - known == set()
    assert "publish" in named


def test_make_targets_and_variables_exist() -> None:
    makefile = read(ROOT / "Makefile")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    inline = [shlex.split(text) for page in PAGES for text in re.findall(r"`make ([^`]+)`", prose(page))]
    words = [word for call in (*inline, *(arguments for _, arguments in typed("make"))) for word in call]
    assert {word for word in words if "=" not in word} <= targets
    assert [word for word in words if "=" in word and f"$({word.partition('=')[0]})" not in makefile] == []
    assert {"run", "test", "lock"} <= set(words)


def test_settings_named_in_the_text_exist() -> None:
    known = [key for key, _, _ in keys()]
    known += [f"detectors.{kind}.{each.name}" for kind, card in cards().items() for each in card.parameters]
    known += [f"sinks.{name}.{field}" for name, sink in sinks().items() for field in sink.settings.model_fields]
    environment = {PREFIX + key.upper().replace(".", "__") for key in known}
    sections = set(Settings.model_fields) - {"detectors"}
    for page in PAGES:
        # Examples that are run show what is wrong on purpose.
        shown = [fence.text for fence in FENCES if fence.page == page and not fence.info.endswith("execute")]
        text = "\n".join([prose(page), *shown])
        names = set(re.findall(rf"{PREFIX}[A-Z_]+", text)) - {f"{PREFIX}SECTION__KEY"}
        assert names <= environment, page
        dotted = [name for name in re.findall(r"`([a-z_]+\.[a-z_.]+)`", text) if name.split(".")[0] in sections]
        assert [name for name in dotted if not any(f"{key}.".startswith(f"{name}.") for key in known)] == [], page


@pytest.mark.parametrize("fence", [fence for fence in FENCES if fence.info == "yaml"], ids=str)
def test_examples_of_settings_load(fence: Fence, tmp_path: Path) -> None:
    document = yaml.safe_load(fence.text)
    if set(document) <= {"services"}:
        return
    path = tmp_path / "flowhawk.yaml"
    path.write_text(fence.text, encoding="utf-8")
    assert load(path) != load()


@pytest.mark.parametrize("fence", [fence for fence in FENCES if fence.info == "yaml cases"], ids=str)
def test_examples_of_cases_are_cases(fence: Fence) -> None:
    assert Cases.model_validate(yaml.safe_load(fence.text)).cases


POLICIES = [fence for fence in FENCES if fence.info.startswith("json") and '"Effect"' in fence.text]


@pytest.mark.parametrize("fence", POLICIES, ids=str)
def test_policies_are_whole_and_allow_no_more_than_they_name(fence: Fence) -> None:
    document = json.loads(fence.text)
    statements = document.get("Statement", [document])
    assert document.get("Version", "2012-10-17") == "2012-10-17"
    for statement in statements:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        assert statement["Effect"] == "Allow"
        assert all(re.fullmatch(r"[a-z0-9-]+:[A-Z][A-Za-z]+\*?", action) for action in actions), actions
        assert "Resource" in statement or "Principal" in statement


def test_templates_write_the_format_that_is_described_and_name_what_they_define() -> None:
    page = DOCS / "how-to" / "enable-flow-logs.md"
    fences = [fence for fence in FENCES if fence.page == page]
    (wanted,) = (fence.text for fence in fences if fence.text.startswith("${version}"))
    fields = re.findall(r"\$\{([a-z-]+)\}", wanted)
    assert set(fields) <= READABLE
    written = [match for fence in fences for match in re.findall(r"\$?\$\{version\}[^\n'\"]*", fence.text)]
    assert len(written) == 4
    assert all(re.findall(r"\{([a-z-]+)\}", each) == fields for each in written)
    (template,) = (yaml.safe_load(fence.text) for fence in fences if fence.info == "yaml cloudformation")
    named = re.findall(r"'(?:Ref|Fn::GetAtt)': \[?'([A-Za-z:]+)'", str(template))
    named += re.findall(r"\$\{([A-Z][A-Za-z:]*)", " ".join(re.findall(r"'Fn::Sub': '([^']*)'", str(template))))
    assert {name for name in named if not name.startswith("AWS::")} <= {*template["Resources"], *template["Parameters"]}
    for resource in template["Resources"].values():
        assert re.fullmatch(r"AWS::[A-Z0-9a-z]+::[A-Za-z]+", resource["Type"])
        assert resource.get("DependsOn", "Bucket") in template["Resources"]
    flow_log = template["Resources"]["FlowLog"]["Properties"]
    assert (flow_log["TrafficType"], flow_log["MaxAggregationInterval"]) == ("ALL", 60)


@pytest.mark.parametrize("fence", [fence for fence in FENCES if fence.info in {"python", "pycon"}], ids=str)
def test_examples_in_python_are_right(fence: Fence) -> None:
    if fence.info == "python":
        ast.parse(fence.text)
        return
    example = doctest.DocTestParser().get_doctest(fence.text + "\n", {}, str(fence), None, fence.line)
    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


EXECUTED = [fence for fence in FENCES if fence.info == "console execute"]


@pytest.mark.parametrize("fence", EXECUTED, ids=str)
def test_examples_print_what_they_show(fence: Fence, tmp_path: Path) -> None:
    for folder in ("docs", "config"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    (command,) = fence.commands
    ran = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True, check=False
    )
    shown = fence.text.partition("\n")[2] + "\n"
    printed = ran.stdout + ran.stderr
    assert doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS), printed


def test_the_readme_shows_what_a_person_sees(tmp_path: Path) -> None:
    (excerpt,) = (fence for fence in FENCES if fence.page == ROOT / "README.md" and fence.info == "text")
    environment = clean_environment() | {"COLUMNS": "120", "FLOWHAWK__HTTP__PORT": "0"}
    ran = subprocess.run(
        [BINARIES / "flowhawk", "up"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=300,
    )
    assert without_measurements(ran.stdout) == without_measurements(excerpt.text)


def clean_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | {"PATH": f"{BINARIES}:{os.environ['PATH']}"}


def without_measurements(text: str) -> list[str]:
    """Take out the numbers that depend on the machine: how many, how fast and where, but not what was found."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return [re.sub(r"\d[\d,.]*", "N", line) if re.match("records|hosts|metrics", line) else line for line in lines]
