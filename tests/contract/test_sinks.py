"""What every sink must hold to, whoever hears of the findings.

A sink that cannot keep one of these says so, and why, in `skipped_checks` of its class.
"""

import re
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from detectors.finding import Finding
from docs.settings import allowed, schema_of
from streams.secret import WithSecrets, secret_fields
from streams.sink_settings import sinks
from streams.sinks import Delivery, Sink
from tests.streams.found import findings
from tests.streams.sinks.ends import End

SECRET_WORDS = re.compile(r"password|secret|token|api_key|private_key")
FLOOD = 4_000
"""Findings, of which each is another one; what a sink keeps of each would be seen."""

FLOOD_BYTES = 6 << 20


@pytest.fixture(params=sinks().values(), ids=list(sinks()))
def kind(request: pytest.FixtureRequest) -> type[Sink]:
    kind: type[Sink] = request.param
    return kind


@pytest.fixture
async def end(kind: type[Sink], tmp_path: Path) -> AsyncIterator[End]:
    """Give what is at the other end of the sink: the sink's own test module knows."""
    module = import_module(f"tests.streams.sinks.test_{kind.__module__.rpartition('.')[2]}")
    async with module.other_end(tmp_path) as end:
        yield end


async def made(kind: type[Sink], end: End) -> Sink:
    sink = kind.make(end.settings, end.surroundings)
    await sink.start()
    if kind.replays:
        await sink.restart()
        await sink.caught_up()
    return sink


Check = Callable[[Sink, End], Awaitable[None]]


async def every_finding_is_heard_of_in_order(sink: Sink, end: End) -> None:
    assert await sink.deliver(findings(3)) is Delivery.DELIVERED
    heard = await end.heard()
    places = [heard.index(each.summary) for each in findings(3) if each.status == "open"]
    assert places == sorted(places)
    assert len(places) == 3


async def no_findings_are_no_news(sink: Sink, end: End) -> None:
    assert await sink.deliver([]) is Delivery.DELIVERED
    await sink.close()
    assert findings()[0].kind not in await end.heard()


async def what_was_delivered_may_be_delivered_again(sink: Sink, end: End) -> None:
    for _ in range(2):
        assert await sink.deliver(findings()) is Delivery.DELIVERED
    assert findings()[0].summary in await end.heard()


async def what_was_delivered_is_out_before_it_is_closed(sink: Sink, end: End) -> None:
    await sink.deliver(findings()[:1])
    assert findings()[0].summary in await end.heard()


async def any_text_in_a_finding_is_taken(sink: Sink, end: End) -> None:
    odd = findings()[0].model_copy(update={"summary": "[red]\u2028 \\ \" ' {} %s é\n|=<&>", "id": "odd"})
    assert await sink.deliver([odd]) is Delivery.DELIVERED
    assert "[red]" in await end.heard()


async def closing_twice_does_no_harm(sink: Sink, end: End) -> None:
    del end
    await sink.close()
    await sink.close()


async def who_fails_for_a_while_is_told_later(sink: Sink, end: End) -> None:
    await end.fail()
    assert await sink.deliver(findings()) is Delivery.RETRY
    assert await sink.deliver(findings()) is Delivery.RETRY
    await end.recover()
    assert await sink.deliver(findings()) is Delivery.DELIVERED
    assert findings()[0].summary in await end.heard()


async def what_is_refused_for_good_is_hopeless(sink: Sink, end: End) -> None:
    await end.refuse()
    assert await sink.deliver(findings()) is Delivery.HOPELESS


async def a_flood_of_findings_is_not_kept(sink: Sink, end: End) -> None:
    del end
    one = findings()[0]
    tracemalloc.start()
    try:
        before = 0
        for begin in range(0, FLOOD, 500):
            many = [one.model_copy(update={"id": f"flood-{begin + each}"}) for each in range(500)]
            assert await sink.deliver(many) in {Delivery.DELIVERED, Delivery.RETRY}
            before = before or tracemalloc.get_traced_memory()[0]
        assert tracemalloc.get_traced_memory()[0] - before < FLOOD_BYTES
    finally:
        tracemalloc.stop()


CHECKS: Sequence[Check] = (
    every_finding_is_heard_of_in_order,
    no_findings_are_no_news,
    what_was_delivered_may_be_delivered_again,
    what_was_delivered_is_out_before_it_is_closed,
    any_text_in_a_finding_is_taken,
    closing_twice_does_no_harm,
    who_fails_for_a_while_is_told_later,
    what_is_refused_for_good_is_hopeless,
    a_flood_of_findings_is_not_kept,
)

CASES = [
    pytest.param(kind, check, id=f"{name}-{check.__name__}")
    for name, kind in sinks().items()
    for check in CHECKS
    if check.__name__ not in kind.skipped_checks
]


@pytest.mark.parametrize(("kind", "check"), CASES)
async def test_a_sink_keeps_the_contract(kind: type[Sink], check: Check, end: End) -> None:
    sink = await made(kind, end)
    try:
        await check(sink, end)
    finally:
        await sink.close()


def test_there_are_sinks() -> None:
    assert {"terminal", "json_lines"} <= set(sinks())


def test_a_name_is_a_word_that_a_setting_can_have(kind: type[Sink]) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", kind.name)
    assert kind.name != "json_lines_path"


def test_what_is_not_checked_is_a_check_and_has_a_reason(kind: type[Sink]) -> None:
    assert set(kind.skipped_checks) <= {check.__name__ for check in CHECKS}
    assert all(len(reason.split()) >= 3 for reason in kind.skipped_checks.values())


def sections(settings: type[BaseModel]) -> Mapping[str, Any]:
    return {f"{settings.__name__}.{name}": field for name, field in settings.model_fields.items()}


def test_every_setting_says_what_it_means(kind: type[Sink]) -> None:
    assert kind.settings.__doc__
    assert [name for name, field in sections(kind.settings).items() if not field.description] == []
    assert allowed(schema_of(f"sinks.{kind.name}"))


def test_settings_cannot_be_changed_or_misspelt(kind: type[Sink]) -> None:
    assert kind.settings.model_config.get("frozen")
    assert kind.settings.model_config.get("extra") == "forbid"


def test_every_secret_is_hidden_and_may_be_in_a_file(kind: type[Sink]) -> None:
    fields = kind.settings.model_fields
    secrets = secret_fields(kind.settings)
    plain = [name for name in fields if SECRET_WORDS.search(name) and not name.endswith("_file")]
    assert [name for name in plain if name not in secrets] == []
    assert [name for name in secrets if f"{name}_file" not in fields] == []
    if secrets:
        assert issubclass(kind.settings, WithSecrets)


def test_a_secret_is_given_once(kind: type[Sink]) -> None:
    for name, field in secret_fields(kind.settings).items():
        value: Any = "x" if field.annotation == SecretStr | None else {"x": "x"}
        with pytest.raises(ValidationError, match=f"give {name} or {name}_file, not both"):
            kind.settings.model_validate({**least(kind.settings), name: value, f"{name}_file": "secret"}, by_name=True)


def least(settings: type[BaseModel]) -> dict[str, Any]:
    """Say what must be said: examples stand in the fields that have no default."""
    return {name: (field.examples or [None])[0] for name, field in settings.model_fields.items() if field.is_required()}


def test_every_setting_without_a_default_has_an_example(kind: type[Sink]) -> None:
    for name, field in kind.settings.model_fields.items():
        assert not field.is_required() or field.examples, name
    kind.settings.model_validate(least(kind.settings))


def test_the_finding_that_the_checks_use_is_one() -> None:
    assert isinstance(findings()[0], Finding)
