"""How memory is handed out and taken back.

Every batch allocates columns of the same sizes and frees them. By default glibc maps large ones anew each time,
and the kernel's work of clearing fresh pages then costs more than decoding does (mallopt(3)).
"""

import ctypes
import gc
from typing import Final

_ARENA_MAX: Final = -8
_MMAP_THRESHOLD: Final = -3
_TOP_PAD: Final = -2
_TRIM_THRESHOLD: Final = -1

_OPTIONS: Final = {
    # The highest that glibc takes; only what is larger is mapped on its own.
    _MMAP_THRESHOLD: 32 << 20,
    _TRIM_THRESHOLD: 256 << 20,
    _TOP_PAD: 64 << 20,
    # The stages run in a thread of their own, and arenas of threads cannot grow beyond 64 MB.
    _ARENA_MAX: 1,
}


_NEW_OBJECTS: Final = 100_000
"""So many more objects than before let Python look for cycles among the youngest; by default it is 700 of them."""


def look_for_cycles_seldom() -> None:
    """Let Python's collector of cycles run seldom, and never over what was imported.

    With one record a message a poll makes ten thousands of small objects, none of which is part of a cycle.
    Looking through them over and over took as long as everything else that is done with a record.
    """
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 20, 20)


def keep_freed_memory() -> bool:
    """Tell glibc to keep up to 256 MB of what is freed; say whether it does.

    Other C libraries have no such options and stay as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    taken = [mallopt(option, value) for option, value in _OPTIONS.items()]
    return all(taken)
