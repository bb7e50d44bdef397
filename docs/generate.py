"""Writes what in the documentation follows from the code: `python -m docs.generate`.

A page says where: the text between `<!-- made: NAME -->` and `<!-- end -->` is made anew by the part of that name.
With `--check` nothing is written; files that do not say what the code says are named.
"""  # noqa: INP001 - a folder of pages, not a package

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click
import polars as pl
import yaml

from detectors.catalogue import catalogue
from detectors.finding import json_schema
from docs import dashboards
from docs.cases import cases_part
from docs.formats import EXAMPLES, severities_part
from docs.markdown import table
from docs.performance import performance_part, sizes_part
from docs.quality import delay_plot, quality_part, recall_plot
from docs.scaling import memory_part, scaling_part
from docs.settings import allowed, code, configuration, parameter_table, schema_of, settings_part
from docs.sources import sources_part
from docs.traffic import attacks_part
from streams import cli
from streams.dead_letters import RAW_BYTES, dead_letters
from streams.declared_metrics import DECLARED, INGEST
from streams.heartbeat import HEADER as HEARTBEAT_HEADER
from streams.kafka_settings import Topic, TopicSettings
from streams.records import REFUSED
from streams.records.contract import (
    DIALECT_HEADER,
    FORMAT_HEADER,
    LINE_HEADER,
    POSITION_HEADER,
    SAMPLING_HEADER,
    SOURCE_HEADER,
    WATERMARK_HEADER,
)
from streams.sink_settings import sinks

ROOT: Final = Path(__file__).parent.parent
RULES: Final = Path("config/prometheus/rules/flowhawk.yml")

_MADE: Final = re.compile(r"(<!-- made: ([a-z-]+) -->\n).*?(\n<!-- end -->)", re.DOTALL)


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
    return _metrics(DECLARED)


def ingest_metrics_part() -> str:
    """Write a table of the metrics of an ingest."""
    return _metrics(INGEST)


def _metrics(declared: Mapping[str, tuple[str, str, tuple[str, ...]]]) -> str:
    rows = [
        (code(name), kind, ", ".join(map(code, labels)) or "-", meaning)
        for name, (kind, meaning, labels) in declared.items()
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
            parameter_table(card),
            "May be mistaken for it:",
            "\n".join(f"- {each}" for each in card.false_positives),
            f"What to do: {card.response}",
        ]
    return "\n\n".join(parts)


def sinks_part() -> str:
    """Write a table of the sinks."""
    rows = [
        (
            code(f"sinks.{name}"),
            _first_line(sink.settings),
            "on" if sink.default is not None else "off",
            "yes" if sink.hears_observed else "no",
            "the whole topic" if sink.replays else "where it was",
        )
        for name, sink in sinks().items()
    ]
    return table(("section", "tells", "by default", "observed findings too", "reads, after a restart"), rows)


def _first_line(of: type) -> str:
    return (of.__doc__ or "").partition("\n")[0]


def finding_part() -> str:
    """Write a table of the fields of a finding."""
    rows = [(code(name), allowed(each), each["description"]) for name, each in json_schema()["properties"].items()]
    return table(("field", "values", "meaning"), rows)


def topics_part() -> str:
    """Write a table of the topics."""
    rows = [
        (
            code(topic.name),
            schema_of(f"topics.{field}")["description"],
            str(topic.partitions),
            str(topic.replication),
            f"{topic.retention_hours} hour{'' if topic.retention_hours == 1 else 's'}",
            "the last record of each key" if topic.compacted else "all records",
        )
        for field, topic in _topics().items()
    ]
    return table(("topic", "holds", "partitions", "copies", "kept for", "keeps"), rows)


_HEADERS: Final = {
    FORMAT_HEADER: "Fields of the lines, in order.",
    DIALECT_HEADER: "Dialect of the lines; without it, the lines themselves tell.",
    SAMPLING_HEADER: "Of how many records each here is a sample; their statistics are scaled up.",
    SOURCE_HEADER: "What the lines were read from, such as a path or an object.",
    POSITION_HEADER: "How far that had been read, as on the topic of positions; `end` where that was all.",
    LINE_HEADER: "Number of the first line in what it was read from; the first is 1.",
    WATERMARK_HEADER: "On an empty message: the input ends here, so that every pane closes.",
    HEARTBEAT_HEADER: "On a message without a value: a heartbeat, and when it was made, epoch seconds.",
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
        "flows": (
            *(FORMAT_HEADER, DIALECT_HEADER, SAMPLING_HEADER),
            *(SOURCE_HEADER, POSITION_HEADER, LINE_HEADER, WATERMARK_HEADER),
        ),
        "flows_dead_letter": dead_letter,
        "flows_late": (FORMAT_HEADER,),
        "findings": (HEARTBEAT_HEADER,),
    }
    rows = [(code(topics[field].name), code(name), _HEADERS[name]) for field, names in used.items() for name in names]
    return table(("topic", "header", "meaning"), rows)


def _topics() -> dict[str, Topic]:
    topics = TopicSettings()
    fields = ((field, getattr(topics, field)) for field in TopicSettings.model_fields)
    return {field: value for field, value in fields if isinstance(value, Topic)}


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "alerts": alerts_part,
    "attacks": attacks_part,
    "cases": cases_part,
    "commands": commands_part,
    "detectors": detectors_part,
    "finding": finding_part,
    "headers": headers_part,
    "ingest-metrics": ingest_metrics_part,
    "metrics": metrics_part,
    "performance": performance_part,
    "scaling": scaling_part,
    "scaling-memory": memory_part,
    "quality": quality_part,
    "settings": settings_part,
    "severities": severities_part,
    "sinks": sinks_part,
    "sizes": sizes_part,
    "sources": lambda: sources_part(allowed),
    "topics": topics_part,
    **EXAMPLES,
}
"""What can be made between the marks of a page."""

FILES: Final[Mapping[str, Callable[[], str]]] = {
    **dashboards.FILES,
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
