"""What goes on beside a test: in a thread, for as long as a `with` block lasts, and its failure is the test's."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Beside(ABC):
    """Runs beside the `with` block; leaving the block waits for its end.

    Attributes
    ----------
    over
        Set when the block is left.
    """

    def __init__(self) -> None:
        self.over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._guarded, name=type(self).__name__, daemon=True)

    @abstractmethod
    def run(self) -> None:
        """Do it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        if error is None:
            self._thread.join()
            if self._failure is not None:
                raise self._failure

    def _guarded(self) -> None:
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 - raised again where the test waits
            self._failure = error
