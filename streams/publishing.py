"""`flowhawk publish`, behind the command line: what is read, how it is sent, and what is said of it in the end."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from streams.errors import InputError
from streams.ingest import Ingest
from streams.pace import Pace
from streams.positions import read_positions
from streams.progress import ProgressBar
from streams.publish import Publisher
from streams.selection import Selection
from streams.settings import Settings
from streams.sources import Block, Source, source_at
from streams.sources.found import followed, found
from streams.sources.merged import MergedSource
from streams.transactions import Transactions


class Outcome(NamedTuple):
    """What became of it.

    Attributes
    ----------
    read
        Records that were read.
    records, bytes, messages
        What Kafka has of them: records, bytes of lines before compression, messages.
    problems
        What could not be read or sent.
    interrupted
        Whether it was told to end before everything was read.
    """

    read: int
    records: int
    bytes: int
    messages: int
    problems: int
    interrupted: bool = False


class Publishing:
    """Opens places and publishes what is there.

    Parameters
    ----------
    settings
        All settings.
    places
        What to read, as on the command line.
    report
        Is called with one line about each problem.
    follow
        Whether files may grow and new ones may come.
    records_per_message
        Lines in a message; 0 for blocks as the settings say.
    """

    def __init__(
        self,
        settings: Settings,
        places: Sequence[str],
        report: Callable[[str], None],
        *,
        follow: bool = False,
        records_per_message: int = 0,
    ) -> None:
        self._settings = settings
        self._report = report
        self._follow = follow
        self._records_per_message = records_per_message
        self._problems = 0
        self._read = 0
        self._ingest: Ingest | None = None
        self._stopped = False
        self.selection = Selection(settings.selection, settings.records)
        self._pace = Pace(self.selection.rate)
        blocks = settings.blocks
        if records_per_message > blocks.records:
            blocks = blocks.model_copy(update={"records": records_per_message})
        self._sources: list[Source] = []
        for place in places:
            try:
                for each in [followed(place)] if follow else found(place):
                    self._sources.append(source_at(each))
            except InputError as error:
                self._problem(error)
        self._merged = MergedSource(self._sources, settings.records)
        # All at once, since the more there are, the smaller the blocks of each.
        self._merged.cut_into(blocks)

    def rehearse(self) -> Outcome:
        """Read everything and send nothing."""
        lines = size = messages = 0
        try:
            for block in self._merged.blocks():
                chosen = self._select(block)
                if chosen is not None:
                    lines, size, messages = lines + chosen.records, size + len(chosen.value), messages + 1
        except InputError as error:
            self._problem(error)
        return Outcome(self._read, lines, size, messages, self._problems)

    def publish(self, *, complete: bool) -> Outcome:
        """Send everything; nothing is remembered.

        Parameters
        ----------
        complete
            Whether that is all there will ever be, so that whoever reads it closes every pane.
        """
        settings, interrupted = self._settings, False
        with (
            ProgressBar(self._sources) as bar,
            Publisher(
                settings.kafka,
                settings.topics.flows,
                records_per_message=self._records_per_message,
                records=settings.records,
                compression=settings.blocks.compression,
                select=self._select,
                progress=lambda published: bar.show(published.records),
            ) as publisher,
        ):
            try:
                try:
                    publisher.publish(self._merged)
                except InputError as error:
                    self._problem(error)
                publisher.finish(complete=complete and not self._problems)
            except KeyboardInterrupt:
                publisher.finish()
                interrupted = True
        return Outcome(self._read, *publisher.published, self._problems, interrupted)

    def resume(self) -> Outcome:
        """Send what was not sent before, in transactions that carry the positions too."""
        settings = self._settings
        name = f"{settings.ingest.name}-publish"
        with (
            ProgressBar(self._sources) as bar,
            Transactions(
                settings.kafka, settings.topics, name, settings.records, compression=settings.blocks.compression
            ) as transactions,
        ):
            self._ingest = Ingest(
                transactions,
                # Followed files are read beside each other; a thread for each file of a large folder would be too many.
                self._sources if self._follow else [self._merged],
                read_positions(settings.kafka, settings.topics.positions, name),
                settings.ingest,
                self.selection,
                records=settings.records,
                report=self._report,
                progress=bar.show,
                records_per_message=self._records_per_message,
            )
            if self._stopped:
                self._ingest.stop()
            done = self._ingest.run()
        return Outcome(done.read, done.records, done.bytes, done.messages, done.problems + self._problems)

    def stop(self) -> None:
        """Let `resume` come to an end."""
        self._stopped = True
        if self._ingest is not None:
            self._ingest.stop()

    def summary(self, outcome: Outcome, seconds: float) -> dict[str, Any]:
        """Sum it up for programs: what was read is what was published, dropped or sampled out."""
        counted = {name: value for name, value in outcome._asdict().items() if name != "interrupted"}
        left = dataclasses.asdict(self.selection.left)
        rate = round(outcome.records / max(seconds, 1e-3))
        return counted | left | {"seconds": round(seconds, 3), "records_per_second": rate}

    def _select(self, block: Block) -> Block | None:
        self._read += block.records
        chosen = self.selection.apply(block)
        if chosen is not None:
            time.sleep(self._pace.wait_seconds)
            self._pace.passed(chosen.records)
        return chosen

    def _problem(self, error: InputError) -> None:
        self._problems += len(str(error).splitlines())
        self._report(str(error))
