"""`flowhawk parse`: flow records as JSON, one object to a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from streams.records.objects import Written
    from streams.records.settings import RecordSettings

_BLOCK_BYTES: Final = 1024 * 1024
_ROWS: Final = 100_000


@click.command("parse")
@click.argument("places", metavar="FILE...", nargs=-1, required=True)
@click.option("--format", "fields", metavar="FIELDS", help="Fields of lines without a header line, in order.")
@click.option("--config", type=click.Path(path_type=Path), help="Settings to read; else defaults and the environment.")
def command(places: tuple[str, ...], fields: str | None, config: Path | None) -> None:
    """Print the records in FILEs as JSON, one object to a line, - is standard input.

    Keys are AWS's names of the fields; numbers are numbers, and what is missing is null. Refused lines are named
    on standard error. The exit code is 1 only if every line was refused, or a file could not be read.
    """
    from streams.errors import InputError
    from streams.settings import load

    records = load(config, {"records": {"format": _known(fields)}} if fields is not None else {}).records
    output = click.get_binary_stream("stdout")
    accepted = refused = 0
    failures: list[InputError] = []
    for place in places:
        try:
            for first, written in _written(place, records):
                output.write(written.lines)
                for where, reason in written.refused:
                    click.echo(f"{place}:{first + where.line - 1}: {reason}", err=True)
                accepted += written.rows
                refused += len(written.refused)
        except InputError as error:
            failures.append(error)
    output.flush()
    if failures:
        raise InputError("\n".join(str(failure) for failure in failures))
    if refused and not accepted:
        raise click.exceptions.Exit(1)


def _known(fields: str) -> str:
    from streams.records.fields import KNOWN

    names = fields.replace(",", " ").split()
    if not KNOWN.intersection(names):
        raise click.BadParameter(f"names no field of flow logs, such as srcaddr: {fields!r}", param_hint="--format")
    return " ".join(names)


def _written(place: str, records: "RecordSettings") -> Iterator[tuple[int, "Written"]]:
    """Write a file block after block; with each, the number of its first line."""
    if place != "-" and _is_parquet(Path(place)):
        yield from _written_parquet(place)
        return
    from streams.records import Message
    from streams.records.objects import write
    from streams.sources.files import FileSource

    for block in FileSource(place, block_bytes=_BLOCK_BYTES).blocks():
        yield block.line, write(Message(block.value, block.headers), records)


def _is_parquet(path: Path) -> bool:
    from streams.errors import InputError

    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _written_parquet(place: str) -> Iterator[tuple[int, "Written"]]:
    from pyarrow import ArrowException

    from streams.errors import InputError
    from streams.records.objects import write_reads
    from streams.records.parquet import frames, rows

    first = 0
    try:
        for frame in frames(place, _ROWS):
            for read in rows(frame, first=first):
                yield 1, write_reads([read])
            first += frame.height
    except (ArrowException, OSError, ValueError) as error:
        raise InputError(f"{place}: is not readable Parquet: {' '.join(str(error).split())[:200]}") from error
