"""Looking for garbage less often where millions of objects are made that live on anyway."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["rarely_collected"]


@contextmanager
def rarely_collected(objects: int) -> Iterator[None]:
    """Look for garbage only every so many new objects while inside; what was set before is put back.

    Python looks through all young objects every few hundred allocations, and through all objects now
    and then; where nearly all of them are still in use, that is a large part of the time.

    Args:
        objects: new objects after which garbage is looked for.
    """
    before = gc.get_threshold()
    gc.set_threshold(objects, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
