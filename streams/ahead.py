"""The next item of an iterator, worked out in a thread while the one before it is used."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Final, TypeVar

T = TypeVar("T")

_OVER: Final = object()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items of an iterator, always one of them being worked out ahead.

    Threads end with the process, whatever they wait for: the read of a pipe may never return.

    Parameters
    ----------
    items
        Used by one thread at a time, and by nobody else meanwhile.

    Examples
    --------
    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    coming = _begun(items)
    while (item := coming.result()) is not _OVER:
        coming = _begun(items)
        yield item  # type: ignore[misc]  # what is not the mark of the end is an item


def _begun(items: Iterator[T]) -> "Future[T | object]":
    """Begin to work out the next item."""
    coming: Future[T | object] = Future()

    def work() -> None:
        try:
            coming.set_result(next(items, _OVER))
        except BaseException as error:  # noqa: BLE001 - raised again where the item is waited for
            coming.set_exception(error)

    threading.Thread(target=work, name="ahead", daemon=True).start()
    return coming
