"""`flowhawk parse`: flow records as JSON, one object to a line."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, cast

import click

if TYPE_CHECKING:
    from io import BufferedReader

    from streams.records.objects import Written
    from streams.records.settings import RecordSettings

_BLOCK_BYTES: Final = 1024 * 1024


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
    if _is_parquet(place):
        yield from _written_parquet(place)
        return
    from streams.records import Message
    from streams.records.objects import write
    from streams.sources.files import FileSource

    for block in FileSource(place, block_bytes=_BLOCK_BYTES).blocks():
        yield block.line, write(Message(block.value, block.headers), records)


def _is_parquet(place: str) -> bool:
    from streams.errors import InputError
    from streams.records.contract import PARQUET_MAGIC

    if place == "-":
        return cast("BufferedReader", sys.stdin.buffer).peek(4)[:4] == PARQUET_MAGIC
    try:
        with Path(place).open("rb") as file:
            return file.read(4) == PARQUET_MAGIC
    except OSError as error:
        raise InputError(f"{place}: cannot be read: {error.strerror}") from error


def _written_parquet(place: str) -> Iterator[tuple[int, "Written"]]:
    from pyarrow import PythonFile

    from streams.errors import InputError
    from streams.records.objects import write_reads
    from streams.records.parquet import UNREADABLE, reads

    try:
        with TemporaryFile() if place == "-" else Path(place).open("rb") as file:
            if place == "-":
                # Parquet is read from its end, and what comes in on standard input has none before all of it is there.
                shutil.copyfileobj(sys.stdin.buffer, file)
            for read in reads(PythonFile(file)):
                yield 1, write_reads([read])
    except UNREADABLE as error:
        raise InputError(f"{place}: is not readable Parquet: {' '.join(str(error).split())[:200]}") from error
