"""Writes what the documentation says of sources."""  # noqa: INP001 - a folder of pages, not a package

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from docs.markdown import table
from streams.sources import sources


def sources_part(allowed: Callable[[Mapping[str, Any]], str]) -> str:
    """Write a section for each kind of source that has places.

    Parameters
    ----------
    allowed
        Says in words which values a JSON schema allows.
    """
    parts = []
    for kind in sources():
        if not kind.written:
            continue
        parts += [f"## {kind.name}", f"`{kind.written}`: {_one_paragraph(kind)}"]
        properties = kind.settings.model_json_schema().get("properties", {})
        rows = [
            (f"`{name}`", f"`{json.dumps(each.get('default'))}`", allowed(each), each["description"])
            for name, each in properties.items()
        ]
        parts += [table(("parameter", "default", "values", "meaning"), rows)] if rows else []
    return "\n\n".join(parts)


def _one_paragraph(kind: type) -> str:
    return " ".join((inspect.getdoc(kind) or "").split("\n\nParameters\n")[0].split())
