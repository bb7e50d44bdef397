"""Recorded traffic in a directory, with what is in it: never part of the project, and left out where it is absent.

A directory holds flow logs, `manifest.json` (`files`: by name `set`, `variant`, `internal` networks and `host_days`)
and `truth.jsonl` (labels as `flowhawk generate --truth` writes them, with the `set` and the `variants` they are in).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluation.attack import Attack
from evaluation.matching import SLACK_SECONDS, Score, score
from evaluation.run import settings, told_of
from streams.errors import InputError
from streams.sources.files import FileSource

_SLACK_600 = 600


def scores(directory: Path) -> Iterator[tuple[str, Score]]:
    """Run every file of a directory; yield its name and its score.

    Raises
    ------
    InputError
        When the manifest or the labels cannot be read, or a file of the manifest is missing.
    """
    try:
        manifest: dict[str, dict[str, Any]] = json.loads((directory / "manifest.json").read_text("utf-8"))["files"]
        lines = (directory / "truth.jsonl").read_text("utf-8").splitlines()
        labels = [json.loads(line) for line in lines]
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{directory}: manifest.json and truth.jsonl are needed and cannot be read: {error}"
        ) from error
    for name, facts in sorted(manifest.items()):
        present = [
            Attack.recorded(label)
            for label in labels
            if label["set"] == facts["set"] and facts["variant"] in label["variants"]
        ]
        told = told_of(FileSource(str(directory / name)), settings(facts["internal"]))
        slack = _SLACK_600 if facts["variant"].endswith("600") else SLACK_SECONDS
        yield name, score(told, present, facts["host_days"], slack)
