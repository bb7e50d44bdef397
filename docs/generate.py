"""Writes what in the documentation follows from the code: `python -m docs.generate`.

A page says where: the text between `<!-- made: NAME -->` and `<!-- end -->` is made anew by the part of that name.
With `--check` nothing is written; files that do not say what the code says are named.
"""  # noqa: INP001 - a folder of pages, not a package

import json
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import click
import polars as pl
import yaml
from click.testing import CliRunner

from detectors.catalogue import cards, catalogue
from detectors.contract import Card
from detectors.finding import json_schema
from docs.cases import cases_part
from docs.markdown import table
from docs.performance import performance_part, sizes_part
from docs.quality import delay_plot, quality_part, recall_plot
from docs.sources import sources_part
from docs.traffic import attacks_part
from streams import cli
from streams.dead_letters import RAW_BYTES, dead_letters
from streams.kafka_settings import Topic, TopicSettings
from streams.metrics import DECLARED
from streams.records import REFUSED
from streams.records.contract import DIALECT_HEADER, FORMAT_HEADER, SAMPLING_HEADER, WATERMARK_HEADER
from streams.settings import DELIMITER, PREFIX, Settings, keys

ROOT: Final = Path(__file__).parent.parent
EXAMPLE: Final = Path("docs/examples/flows.log")
RULES: Final = Path("config/prometheus/rules/flowhawk.yml")

_COLUMNS: Final = 110
_UNITS: Final = {"_ms": "milliseconds", "_seconds": "seconds", "_hours": "hours"}
_MADE: Final = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)

Schema = Mapping[str, Any]


class Setting(NamedTuple):
    """A setting as people read of it."""

    key: str
    default: Any
    values: str
    meaning: str


def settings() -> Iterator[Setting]:
    """List every setting with the values it takes."""
    for key, default, meaning in keys():
        values = allowed(schema_of(key))
        if properties := _properties(key):
            values = f"{values} with {', '.join(_code(name) for name in properties)}"
        for suffix, unit in _UNITS.items():
            if key.endswith(suffix) and unit not in meaning:
                values = f"{values}, in {unit}"
        yield Setting(key, default, values, meaning)


def schema_of(key: str) -> Schema:
    """Find the schema of a setting, or of a section, by its dotted key."""
    document = Settings.model_json_schema()
    found: Schema = document
    for part in key.split("."):
        inside = document["$defs"][_name(found)] if "$ref" in found else found
        found = inside["properties"][part]
        if "$ref" in found:
            # A description that repeats the class's is left out of the schema.
            found = {"description": document["$defs"][_name(found)]["description"], **found}
    return found


def _properties(key: str) -> Schema:
    """Return the schemas of the keys of a setting's objects; empty where it holds none."""
    items = schema_of(key).get("items", {})
    properties: Schema = Settings.model_json_schema()["$defs"][_name(items)]["properties"] if "$ref" in items else {}
    return properties


def _name(schema: Schema) -> str:
    """Name the definition that a schema refers to."""
    reference: str = schema["$ref"]
    return reference.rpartition("/")[2]


def allowed(schema: Schema) -> str:
    """Say in words which values a JSON schema allows.

    >>> allowed({"type": "integer", "minimum": 1, "maximum": 9})
    'whole number from 1 to 9'
    >>> allowed({"anyOf": [{"enum": ["a", "b"], "type": "string"}, {"type": "null"}]})
    '`a` or `b`, or `null`'
    """
    if "anyOf" in schema:
        return ", or ".join(allowed(each) for each in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        *others, last = (f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
        return f"{', '.join(others)} or {last}" if others else last
    if schema.get("type") == "array":
        one = allowed(schema["items"])
        return f"list of {one if one == 'text' else one + 's'}"
    words = {"integer": "whole number", "boolean": "`true` or `false`", "null": "`null`", "string": "text"}
    kind: str = schema.get("type", "object")
    return str(schema.get("format", words.get(kind, kind))) + _range(schema)


def _range(schema: Schema) -> str:
    if "maximum" in schema:
        return f" from {schema['minimum']} to {schema['maximum']}"
    return f", at least {schema['minimum']}" if "minimum" in schema else ""


def configuration() -> str:
    """Write config/flowhawk.yaml."""
    head = f"""\
        Every setting of Flowhawk, with its default. Copy this file, keep the lines that you change,
        and name the copy: flowhawk run --config FILE. To see whether it is right:
        flowhawk check-config FILE.

        The environment is stronger than a file: {PREFIX}HTTP{DELIMITER}PORT is http.port.

        Made by `make docs` from the code; change the code, not this file."""
    lines = [f"# {line}".rstrip() for line in textwrap.dedent(head).splitlines()]
    opened: list[str] = []
    for setting in settings():
        *sections, name = setting.key.split(".")
        for depth in range(1, len(sections) + 1):
            if opened[:depth] != sections[:depth]:
                section = sections[:depth]
                meaning = schema_of(".".join(section))["description"]
                lines += ["", *_commented(meaning, depth - 1), f"{'  ' * (depth - 1)}{section[-1]}:"]
        opened = sections
        if not sections:
            lines.append("")
        if setting.key == "detectors":
            lines += _parameters(setting.meaning)
            continue
        lines += _commented(_with(setting.meaning, setting.values.replace("`", "")), len(sections))
        lines.append(f"{'  ' * len(sections)}{name}: {_yaml(setting.default)}")
    return "\n".join(lines) + "\n"


def _parameters(meaning: str) -> list[str]:
    """Write the parameters of detectors as comments: a settings file holds only those that are changed."""
    lines = [*_commented(f"{meaning} Take the # away before what you change.", 0), "detectors:"]
    for card in cards().values():
        lines.append(f"#  {card.kind}:")
        for parameter in card.parameters:
            text = _with(parameter.meaning, f"{parameter.unit}; at least {parameter.minimum:g}")
            lines += [f"#    {line}" for line in _commented(text, 0)]
            lines.append(f"#    {parameter.name}: {parameter.default}")
    return lines


def _commented(text: str, depth: int) -> list[str]:
    indent = f"{'  ' * depth}# "
    return textwrap.wrap(text, _COLUMNS, initial_indent=indent, subsequent_indent=indent)


def _with(sentence: str, remark: str) -> str:
    return f"{sentence.removesuffix('.')} ({remark})."


def _yaml(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, width=10_000, default_flow_style=True).removesuffix("\n...\n").rstrip()


def settings_part() -> str:
    """Write a table for each section of the settings."""
    parts = []
    for section, group in groupby(settings(), key=lambda each: each.key.split(".")[0]):
        several = list(group)
        rows = [(_code(each.key), _code(each.default), each.values, each.meaning) for each in several]
        parts += [f"## {section}", table(("setting", "default", "values", "meaning"), rows)]
        parts += [_objects(each.key, properties) for each in several if (properties := _properties(each.key))]
        if section == "detectors":
            parts += ["Each is `detectors.KIND.PARAMETER`:", _parameter_table(*cards().values())]
    return "\n\n".join(parts)


def _objects(key: str, properties: Schema) -> str:
    rows = [(_code(name), allowed(each), each["description"]) for name, each in properties.items()]
    return f"Each of `{key}` has:\n\n{table(('key', 'values', 'meaning'), rows)}"


def _parameter_table(*several: Card) -> str:
    rows = [
        (
            _code(each.name if len(several) == 1 else f"{card.kind}.{each.name}"),
            f"`{each.default}` {each.unit}",
            f"{each.minimum:g}",
            each.meaning,
            each.reason,
        )
        for card in several
        for each in card.parameters
    ]
    return table(("parameter", "default", "minimum", "meaning", "why the default"), rows)


def commands_part() -> str:
    """Write the help of every command."""
    root = click.Context(cli.command, info_name="flowhawk", terminal_width=80, **cli.command.context_settings)
    return "\n\n".join(
        f"## {context.command_path}\n\n```text\n{context.command.get_help(context)}\n```" for context in contexts(root)
    )


def contexts(context: click.Context) -> Iterator[click.Context]:
    """List a command and those below it."""
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None:
                yield from contexts(click.Context(command, parent=context, info_name=name, terminal_width=80))


def metrics_part() -> str:
    """Write a table of the metrics."""
    rows = [
        (_code(name), kind, ", ".join(map(_code, labels)) or "-", meaning)
        for name, (kind, meaning, labels) in DECLARED.items()
    ]
    return table(("metric", "type", "labels", "meaning"), rows)


def alerts_part() -> str:
    """Write a table of the alert rules."""
    rows = [
        (
            f"[{rule['alert']}](../runbooks/{rule['alert']}.md)",
            rule["labels"]["severity"],
            rule["for"],
            rule["annotations"]["summary"],
        )
        for group in yaml.safe_load((ROOT / RULES).read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]
    return table(("alert", "severity", "fires after", "meaning"), rows)


def detectors_part() -> str:
    """Write a section for each detector."""
    parts = []
    for kind, detector in catalogue().items():
        card = detector.card
        techniques = (f"[{each}](https://attack.mitre.org/techniques/{each}/)" for each in card.mitre)
        needs = (f"`{need.table}` over {need.panes} min" for need in detector.needs)
        facts = [
            ("entity", f"the {card.entity}"),
            ("severity", f"{card.severity}; {card.severity_inside} when a host of your own acts"),
            ("ATT&CK", ", ".join(techniques)),
            ("reads", ", ".join(needs)),
            ("version", str(card.version)),
        ]
        parts += [
            f"## {kind}",
            card.sees,
            table((card.title, ""), facts),
            f"Under `detectors.{kind}` in the settings:",
            _parameter_table(card),
            "May be mistaken for it:",
            "\n".join(f"- {each}" for each in card.false_positives),
            f"What to do: {card.response}",
        ]
    return "\n\n".join(parts)


def finding_part() -> str:
    """Write a table of the fields of a finding."""
    rows = [(_code(name), allowed(each), each["description"]) for name, each in json_schema()["properties"].items()]
    return table(("field", "values", "meaning"), rows)


def example_part() -> str:
    """Write the first finding in the example file."""
    ran = CliRunner().invoke(cli.command, ["detect", str(ROOT / EXAMPLE)], catch_exceptions=False)
    return f"```json\n{json.dumps(json.loads(ran.stdout.splitlines()[0]), indent=2)}\n```"


def topics_part() -> str:
    """Write a table of the topics."""
    rows = [
        (
            _code(topic.name),
            schema_of(f"topics.{field}")["description"],
            str(topic.partitions),
            str(topic.replication),
            f"{topic.retention_hours} hours",
            "the last record of each key" if topic.compacted else "all records",
        )
        for field, topic in _topics().items()
    ]
    return table(("topic", "holds", "partitions", "copies", "kept for", "keeps"), rows)


_HEADERS: Final = {
    FORMAT_HEADER: "Fields of the lines, in order.",
    DIALECT_HEADER: "Dialect of the lines; without it, the lines themselves tell.",
    SAMPLING_HEADER: "Of how many records each here is a sample; their statistics are scaled up.",
    WATERMARK_HEADER: "On an empty message: the input ends here, so that every pane closes.",
    "flowhawk-reason": "Why the line was refused.",
    "flowhawk-topic": "Topic it came from.",
    "flowhawk-partition": "Partition it came from.",
    "flowhawk-offset": "Offset of the message it was in.",
    "flowhawk-line": "Number of the line in that message; the first is 1.",
    "flowhawk-bytes": "How long the line was, where only its beginning is kept.",
}


def headers_part() -> str:
    """Write a table of the headers; those of dead letters are what the code writes with a line that is too long."""
    topics = _topics()
    refused = pl.DataFrame([(0, 1, "", bytes(RAW_BYTES + 1))], schema=REFUSED, orient="row")
    (_, dead_letter), *_ = dead_letters(refused, topics["flows"].name, 0, [0])
    used = {
        "flows": (FORMAT_HEADER, DIALECT_HEADER, SAMPLING_HEADER, WATERMARK_HEADER),
        "flows_dead_letter": dead_letter,
        "flows_late": (FORMAT_HEADER,),
    }
    rows = [(_code(topics[field].name), _code(name), _HEADERS[name]) for field, names in used.items() for name in names]
    return table(("topic", "header", "meaning"), rows)


def _topics() -> dict[str, Topic]:
    topics = TopicSettings()
    fields = ((field, getattr(topics, field)) for field in TopicSettings.model_fields)
    return {field: value for field, value in fields if isinstance(value, Topic)}


def _code(value: Any) -> str:
    plain = list(value) if isinstance(value, tuple) else value
    return f"`{plain if isinstance(plain, str) else json.dumps(plain)}`"


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "alerts": alerts_part,
    "attacks": attacks_part,
    "cases": cases_part,
    "commands": commands_part,
    "detectors": detectors_part,
    "example": example_part,
    "finding": finding_part,
    "headers": headers_part,
    "metrics": metrics_part,
    "performance": performance_part,
    "quality": quality_part,
    "settings": settings_part,
    "sizes": sizes_part,
    "sources": lambda: sources_part(allowed),
    "topics": topics_part,
}
"""What can be made between the marks of a page."""

FILES: Final[Mapping[str, Callable[[], str]]] = {
    "config/flowhawk.yaml": configuration,
    "docs/explanation/quality-delay.svg": delay_plot,
    "docs/explanation/quality-recall.svg": recall_plot,
    "docs/reference/finding.schema.json": lambda: json.dumps(json_schema(), indent=2) + "\n",
}
"""What is made as a whole."""


def stale(root: Path) -> dict[Path, str]:
    """Return what files under a folder should say, where they do not."""
    made = {root / name: make() for name, make in FILES.items()}
    for path in sorted((root / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        made[path] = _MADE.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n{match[3]}", text)
    return {path: text for path, text in made.items() if not path.is_file() or path.read_text(encoding="utf-8") != text}


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; name the files that are stale, and fail if there are any.")
def main(*, check: bool) -> None:
    """Write what in the documentation follows from the code."""
    changed = stale(ROOT)
    for path, text in changed.items():
        click.echo(f"{path.relative_to(ROOT)}: {'is stale; run: make docs' if check else 'written'}", err=True)
        if not check:
            path.write_text(text, encoding="utf-8")
    if check and changed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
