"""Records written by hand, and what detectors say of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from detectors.catalogue import FixedParameters, catalogue
from detectors.examples import START, records
from detectors.finding import Detection
from detectors.span import Position, Span
from detectors.watch import END_OF_TIME, Watch

Row = Mapping[str, Any]

INSIDE, OUTSIDE = "10.0.0.9", "198.51.100.7"


def at(pane: int, second: int = 0) -> int:
    """A moment in a pane, counted from the first one; epoch seconds."""
    return START + 60 * pane + second


def attempt(source: str, destination: str, port: int, **said: Any) -> Row:
    """A lone SYN that found no answer."""
    return {"source": source, "destination": destination, "destination_port": port, **said}


def exchange(
    client: str, server: str, port: int = 443, *, sent: int = 900, received: int = 900, **said: Any
) -> list[Row]:
    """A whole TCP conversation: what the client sent, and what came back."""
    both = {"packets": 10, **said}
    client_port = both.pop("client_port", 40_000)
    request = {"source": client, "source_port": client_port, "destination": server, "destination_port": port}
    answer = {"source": server, "source_port": port, "destination": client, "destination_port": client_port}
    return [
        {**request, "tcp_flags": 3, "bytes": sent, **both},
        {**answer, "tcp_flags": 19, "bytes": received, **both},
    ]


def watching(parameters: Mapping[str, Mapping[str, float]], kinds: Sequence[str] = ()) -> Watch:
    """A watch with some detectors, by default all, and parameters by kind."""
    detectors = {kind: detector for kind, detector in catalogue().items() if kind in (kinds or catalogue())}
    return Watch(
        detectors,
        {kind: FixedParameters.of(each.card, parameters.get(kind, {})) for kind, each in detectors.items()},
    )


def found(kind: str, rows: Sequence[Row], **parameters: float) -> list[Detection]:
    """What one detector says of records, all of them applied at once."""
    watch = watching({kind: parameters}, [kind])
    watch.apply(records(rows), Span("test", Position(0), Position(1)))
    return watch.advance(END_OF_TIME).detections
