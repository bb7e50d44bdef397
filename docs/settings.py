"""What the documentation says of settings, and the annotated file of them."""  # noqa: INP001 - a folder of pages, not a package

import json
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby
from typing import Any, Final, NamedTuple

import yaml

from detectors.catalogue import cards
from detectors.contract import Card
from docs.markdown import table
from streams.settings import DELIMITER, PREFIX, Settings, keys

_COLUMNS: Final = 110
_UNITS: Final = {"_ms": "milliseconds", "_seconds": "seconds", "_hours": "hours"}

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
        values = _switchable(allowed(schema_of(key))) if _is_section(key) else allowed(schema_of(key))
        if properties := _properties(key):
            values = f"{values} with {', '.join(code(name) for name in properties)}"
        for suffix, unit in _UNITS.items():
            if key.endswith(suffix) and unit not in meaning:
                values = f"{values}, in {unit}"
        yield Setting(key, default, values, meaning)


@cache
def _document() -> Schema:
    """Return the schema of all settings, which takes a tenth of a second to make."""
    return Settings.model_json_schema()


def schema_of(key: str) -> Schema:
    """Find the schema of a setting, or of a section, by its dotted key."""
    document = _document()
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
    schema = schema_of(key)
    several = [schema.get("items", {}), *schema.get("anyOf", ())]
    definitions = _document()["$defs"]
    found = [definitions[_name(each)].get("properties", {}) for each in several if "$ref" in each]
    return found[0] if found else {}


def _is_section(key: str) -> bool:
    """Say whether a setting is a section that may be null."""
    return any("$ref" in each for each in schema_of(key).get("anyOf", ()))


def _switchable(values: str) -> str:
    return values.replace("object, or `null`", "`null`, `true` or an object")


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
        if _is_section(setting.key):
            lines += _possible(_properties(setting.key), len(sections))
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


def _possible(properties: Schema, depth: int) -> list[str]:
    """Write the keys of a section that is off as comments."""
    lines = []
    for name, each in properties.items():
        lines += [f"# {line}" for line in _commented(_with(each["description"], _words(name, each)), 0)]
        lines.append(f"# {name}: {_yaml(each.get('default', each.get('examples', [None])[0]))}")
    return [f"{'  ' * depth}#   {line.removeprefix('# ')}" for line in lines]


def _words(name: str, schema: Schema) -> str:
    """Say which values a key of a section takes, in which unit, and whether it must be given."""
    unit = next((f", in {unit}" for suffix, unit in _UNITS.items() if name.endswith(suffix)), "")
    return f"{allowed(schema).replace('`', '')}{unit}{'' if 'default' in schema else '; required'}"


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
        rows = [(code(each.key), code(each.default), each.values, each.meaning) for each in several]
        parts += [f"## {section}", table(("setting", "default", "values", "meaning"), rows)]
        parts += [_objects(each.key, properties) for each in several if (properties := _properties(each.key))]
        if section == "detectors":
            parts += ["Each is `detectors.KIND.PARAMETER`:", parameter_table(*cards().values())]
    return "\n\n".join(parts)


def _objects(key: str, properties: Schema) -> str:
    if _is_section(key):
        several = [
            (
                code(name),
                code(each["default"]) if "default" in each else "required",
                allowed(each),
                each["description"],
            )
            for name, each in properties.items()
        ]
        return f"`{key}` has:\n\n{table(('key', 'default', 'values', 'meaning'), several)}"
    rows = [(code(name), _default(each), allowed(each), each["description"]) for name, each in properties.items()]
    return f"Each of `{key}` has:\n\n{table(('key', 'default', 'values', 'meaning'), rows)}"


def _default(schema: Schema) -> str:
    return code(schema["default"] or json.dumps(schema["default"])) if "default" in schema else "-"


def parameter_table(*several: Card) -> str:
    """Write a table of the parameters of detectors."""
    rows = [
        (
            code(each.name if len(several) == 1 else f"{card.kind}.{each.name}"),
            f"`{each.default}` {each.unit}",
            f"{each.minimum:g}",
            each.meaning,
            each.reason,
        )
        for card in several
        for each in card.parameters
    ]
    return table(("parameter", "default", "minimum", "meaning", "why the default"), rows)


def code(value: Any) -> str:
    """Write a value as code."""
    plain = list(value) if isinstance(value, tuple) else value
    return f"`{plain if isinstance(plain, str) else json.dumps(plain)}`"
