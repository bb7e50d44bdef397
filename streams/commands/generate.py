"""`flowhawk generate`: invented traffic with labelled attacks in it."""

import gzip
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, cast

import click

from streams.errors import ServiceError


class Moment(click.ParamType):
    """A time: ISO 8601, UTC unless it says otherwise, or epoch seconds."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Turn it into epoch seconds."""
        text = str(value)
        if text.isdecimal():
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is no time; write 2026-01-05T09:00:00Z or epoch seconds", param, ctx)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


@click.command()
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Other seeds give other traffic.")
@click.option("--start", type=Moment(), default="2026-01-05T09:00:00Z", show_default=True, help="When it begins.")
@click.option("--minutes", type=click.IntRange(1), default=60, show_default=True, help="How long it goes on.")
@click.option("--hosts", type=click.IntRange(20), default=200, show_default=True, help="Hosts in the network.")
@click.option(
    "--rate",
    type=click.IntRange(1),
    default=8000,
    show_default=True,
    metavar="RECORDS_PER_MINUTE",
    help="Lines in a minute, about.",
)
@click.option(
    "--version",
    type=click.Choice(["2", "5"]),
    default="5",
    show_default=True,
    help="2: AWS's default format. 5: a custom format with a header line.",
)
@click.option(
    "--aggregation",
    type=click.Choice(["60", "600"]),
    default="60",
    show_default=True,
    help="Seconds that a record lasts at most.",
)
@click.option(
    "--ipv6",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Part of the ordinary conversations that go over IPv6.",
)
@click.option(
    "--attack",
    "attacks",
    metavar="NAME[:PARAMETER=VALUE,...]",
    multiple=True,
    help="An attack in place of the usual ones; may be given repeatedly. all is each there is.",
)
@click.option(
    "--lookalike",
    "lookalikes",
    metavar="NAME[:PARAMETER=VALUE,...]",
    multiple=True,
    help="What only looks like an attack, in place of the usual ones; may be given repeatedly. all is each there is.",
)
@click.option("--no-attacks", is_flag=True, help="Only ordinary traffic, and what merely looks like an attack.")
@click.option("--output", default="-", show_default="stdout", help="File to write, compressed where it ends in .gz.")
@click.option("--truth", type=click.Path(dir_okay=False), help="File for the labels, one JSON object a line.")
def command(
    *,
    seed: int,
    start: int,
    minutes: int,
    hosts: int,
    rate: int,
    version: str,
    aggregation: str,
    ipv6: float,
    attacks: tuple[str, ...],
    lookalikes: tuple[str, ...],
    no_attacks: bool,
    output: str,
    truth: str | None,
) -> None:
    """Write synthetic VPC flow logs with labelled attacks in them.

    The same options give the same bytes, always.
    """
    from streams.generate import Traffic
    from streams.generate.chosen import chosen

    if attacks and no_attacks:
        raise click.UsageError("--attack and --no-attacks exclude each other")
    traffic = Traffic(
        seed=seed,
        start=start,
        minutes=minutes,
        hosts=hosts,
        records_per_minute=rate,
        version=cast("Literal[2, 5]", int(version)),
        attacks=not no_attacks,
        aggregation=int(aggregation),
        ipv6=ipv6,
        episodes=chosen(attacks, lookalikes),
    )
    if truth is not None:
        with _written(truth) as labels:
            labels.writelines(f"{json.dumps(each.document())}\n".encode() for each in traffic.truth())
    try:
        with _written(output) as lines:
            lines.writelines(traffic.blocks())
            lines.flush()
    except BrokenPipeError:
        # Who reads has had enough, as `head` does. What is still in the buffer must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def _written(place: str) -> Iterator[IO[bytes]]:
    """Open a file to write; `-` is standard output."""
    if place == "-":
        yield sys.stdout.buffer
        return
    try:
        with Path(place).open("wb") as stored:
            if not place.endswith(".gz"):
                yield stored
                return
            # No name and no time of its own, so that the same lines are the same bytes.
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=stored, mtime=0) as compressed:
                yield cast("IO[bytes]", compressed)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ServiceError(f"{place}: cannot be written: {error.strerror}") from error
