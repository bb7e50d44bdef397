"""What in docs/how-to/test-your-settings.md follows from the code."""  # noqa: INP001 - a folder of pages, not a package

from collections.abc import Mapping

from pydantic import BaseModel

from docs.markdown import table
from streams.cases import Case, Cases, Expectation, Generated


def cases_part() -> str:
    """Write a table of the keys of each section."""
    sections: Mapping[str, type[BaseModel]] = {
        "The file": Cases,
        "Each of `cases`": Case,
        "`generate`": Generated,
        "Each of `expect` and `forbid`": Expectation,
    }
    return "\n\n".join(
        f"{name} has:\n\n"
        + table(
            ("key", "meaning"), [(f"`{key}`", each.description or "") for key, each in section.model_fields.items()]
        )
        for name, section in sections.items()
    )
