"""What every sink must hold to, whoever hears of the findings."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import streams.sinks
from detectors.discovery import implementations
from streams.sinks import Delivery, Sink
from streams.sinks.json_lines import JsonLines
from streams.sinks.terminal import Terminal
from tests.streams.found import findings

SINKS = implementations(streams.sinks, Sink)  # type: ignore[type-abstract]  # mypy issue 4717


def _heard_by_terminal(folder: Path) -> tuple[Sink, Callable[[], str]]:
    del folder
    file = io.StringIO()
    return Terminal(Console(file=file, width=500)), file.getvalue


def _heard_by_json_lines(folder: Path) -> tuple[Sink, Callable[[], str]]:
    path = folder / "findings.jsonl"
    return JsonLines(path), path.read_text


MAKERS: dict[type[Sink], Callable[[Path], tuple[Sink, Callable[[], str]]]] = {
    Terminal: _heard_by_terminal,
    JsonLines: _heard_by_json_lines,
}
"""How a test comes by a sink of each kind, and by what was heard at its other end."""

Made = tuple[Sink, Callable[[], str]]


@pytest.fixture(params=SINKS, ids=lambda kind: kind.name)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    maker = MAKERS.get(request.param)
    assert maker is not None, f"say in MAKERS how to come by a {request.param.__name__}"
    return maker(tmp_path)


def test_names_are_unique() -> None:
    assert len(SINKS) >= 2
    assert len({kind.name for kind in SINKS}) == len(SINKS)


async def test_every_finding_is_heard_of_in_order(made: Made) -> None:
    sink, heard = made
    assert await sink.deliver(findings(3)) is Delivery.DELIVERED
    await sink.close()
    places = [heard().index(each.summary) for each in findings(3) if each.status == "open"]
    assert places == sorted(places)
    assert len(places) == 3


async def test_no_findings_are_no_news(made: Made) -> None:
    sink, heard = made
    assert await sink.deliver([]) is Delivery.DELIVERED
    await sink.close()
    assert heard() == ""


async def test_what_was_delivered_may_be_delivered_again(made: Made) -> None:
    sink, _ = made
    for _ in range(2):
        assert await sink.deliver(findings()) is Delivery.DELIVERED
    await sink.close()


async def test_what_was_delivered_is_out_before_it_is_closed(made: Made) -> None:
    sink, heard = made
    await sink.deliver(findings())
    assert findings()[0].summary in heard()
    await sink.close()


async def test_any_text_in_a_finding_is_taken(made: Made) -> None:
    sink, heard = made
    odd = findings()[0].model_copy(update={"summary": "[red]\u2028 \\ \" ' {} %s é", "id": "odd"})
    assert await sink.deliver([odd]) is Delivery.DELIVERED
    await sink.close()
    assert "[red]" in heard()


async def test_closing_twice_does_no_harm(made: Made) -> None:
    sink, _ = made
    await sink.close()
    await sink.close()
