"""What in docs/explanation/detection-quality.md follows from the evaluation: tables, and plots as SVG."""  # noqa: INP001 - a folder of pages, not a package

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from docs.markdown import table
from evaluation.tables import cases_table, kinds_table, ordinary_table, speeds_table

RESULT: Final = Path(__file__).parent.parent / "evaluation" / "results" / "detection.json"

_STYLE: Final = """\
<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .quiet { fill: #6e7781; }
  .axis { stroke: #d0d7de; }
  .empty { fill: #eaeef2; }
  .bar, .early { fill: #0969da; }
  .late { fill: #bc4c00; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .quiet { fill: #8d96a0; }
    .axis { stroke: #30363d; }
    .empty { fill: #21262d; }
    .bar, .early { fill: #4493f8; }
    .late { fill: #f0883e; }
  }
</style>"""
_LEFT: Final = 230
_WIDTH: Final = 360
_ROW: Final = 22
_RIGHT: Final = 70


def quality_part() -> str:
    """Write the tables of the newest evaluation."""
    document = _document()
    versions = ", ".join(f"{kind} {version}" for kind, version in document["detectors"].items())
    seeds, around, quiet = document["seeds"], document["surroundings"], document["ordinary"]
    parts = [
        f"Measured at commit `{around['commit']}` with {seeds} seeds; detectors: {versions}.",
        "### By kind and speed",
        table(*speeds_table(document)),
        "### By case",
        table(*cases_table(document)),
        "### Precision",
        f"In {document['attacked_host_days']:g} host-days with attacks and {quiet['host_days']:g} without:",
        table(*kinds_table(document)),
        "### Traffic without attacks",
        table(*ordinary_table(document)),
        f"{quiet['withdrawn']} provisional findings were retracted there.",
    ]
    return "\n\n".join(parts)


def recall_plot() -> str:
    """Draw how much was found of each kind and speed."""
    rows = _ordered()
    shapes = []
    for place, row in enumerate(rows):
        top, part = 30 + place * _ROW, row["found"] / row["attacks"]
        shapes += [
            _name(row, top),
            f'<rect class="empty" x="{_LEFT}" y="{top}" width="{_WIDTH}" height="14" rx="2"/>',
            f'<rect class="bar" x="{_LEFT}" y="{top}" width="{part * _WIDTH:.0f}" height="14" rx="2"/>',
            _text(_LEFT + _WIDTH + 8, top + 11, f"{row['found']}/{row['attacks']}"),
        ]
    return _svg("Attacks that were found", shapes, 40 + len(rows) * _ROW)


def delay_plot() -> str:
    """Draw the median minutes from enough evidence to the first word and to the confirmed finding."""
    rows = [row for row in _ordered() if row["confirmed_delay"] is not None]
    longest = max((row["confirmed_delay"][0] for row in rows), default=60.0)
    minutes = -(-longest // 300) * 5
    step = _WIDTH / minutes
    bottom = 34 + len(rows) * _ROW
    shapes = []
    for minute in range(0, int(minutes) + 1, 5):
        at = _LEFT + minute * step
        shapes.append(f'<line class="axis" x1="{at:.0f}" y1="26" x2="{at:.0f}" y2="{bottom}"/>')
        shapes.append(_text(at, bottom + 14, f"{minute}", "quiet", "middle"))
    for place, row in enumerate(rows):
        top = 30 + place * _ROW
        shapes.append(_name(row, top))
        for css, delay in (("early", row["early_delay"]), ("late", row["confirmed_delay"])):
            at = _LEFT + max(delay[0], 0) / 60 * step
            shapes.append(f'<circle class="{css}" cx="{at:.0f}" cy="{top + 7}" r="5"/>')
    shapes.append(_text(_LEFT + _WIDTH, bottom + 30, "minutes of event time", "quiet", "end"))
    title = "From enough evidence to the first word (blue) and to the confirmed finding (orange)"
    return _svg(title, shapes, bottom + 40)


def _document() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(RESULT.read_text(encoding="utf-8"))
    return document


def _ordered() -> list[Mapping[str, Any]]:
    speeds = ("fast", "medium", "slow")
    return sorted(_document()["speeds"], key=lambda row: (row["kind"], speeds.index(row["speed"])))


def _name(row: Mapping[str, Any], top: int) -> str:
    return _text(_LEFT - 8, top + 11, f"{row['kind']}, {row['speed']}", anchor="end")


def _text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    marked = f' class="{css}"' if css else ""
    return f'<text{marked} x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(words)}</text>'


def _svg(title: str, shapes: Iterable[str], height: float) -> str:
    width = _LEFT + _WIDTH + _RIGHT
    lines: Sequence[str] = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" role="img">',
        f"<title>{escape(title)}</title>",
        _STYLE,
        _text(0, 14, title),
        *shapes,
        "</svg>",
    ]
    return "\n".join(lines) + "\n"
