"""Pages of Markdown: their fences, their headings, and what they link to."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path


@dataclass(frozen=True)
class Fence:
    """A fenced block of a page."""

    page: Path
    line: int
    info: str
    text: str

    @property
    def commands(self) -> list[str]:
        """What is typed in it."""
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.info.startswith("console"):
            return [line[2:] for line in lines if line.startswith("$ ")]
        return [line for line in lines if line.strip()] if self.info == "sh" else []

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def split(page: Path) -> tuple[str, list[Fence]]:
    """Return the text of a page outside its fences, and the fences."""
    outside: list[str] = []
    fences: list[Fence] = []
    inside: list[str] = []
    opened: tuple[int, int, str] | None = None
    for number, line in enumerate(read(page).splitlines(), start=1):
        mark = re.match(r"( *)```(.*)$", line)
        if mark is not None and opened is None:
            opened, inside = (number, len(mark[1]), mark[2]), []
        elif mark is not None and opened is not None:
            fences.append(Fence(page, opened[0], opened[2], "\n".join(inside)))
            opened = None
        elif opened is not None:
            inside.append(line[opened[1] :])
        else:
            outside.append(line)
    assert opened is None, f"{page}: a fence is not closed"
    return "\n".join(outside), fences


def prose(page: Path) -> str:
    return split(page)[0]


def segments(line: str) -> Iterator[list[str]]:
    """Split a line of shell into the commands of its pipelines, without assignments and redirections."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    for ends, group in groupby(words, key=lambda word: set(word) <= set("|;&")):
        if not ends:
            command = list(group)
            redirected = next((at for at, word in enumerate(command) if set(word) <= set("<>")), None)
            command = command[:redirected]
            while command and re.match(r"\w+=", command[0]):
                del command[0]
            yield command


def anchors(page: Path) -> set[str]:
    """Return the anchors that headings get where pages are shown (the rules of GitHub)."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        found.add(next(name for name in (slug, *(f"{slug}-{n}" for n in range(1, 99))) if name not in found))
    return found


def links(page: Path) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def linked(page: Path) -> set[Path]:
    """Return the files that a page links to."""
    targets = {target.partition("#")[0] for target in links(page) if "://" not in target}
    return {(page.parent / target).resolve() for target in targets if target}


def section(page: Path, heading: str) -> str:
    """Return the text of a page under a heading, up to the next one of its level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", read(page), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page.name} has no heading {heading!r}"
    return found[1]
