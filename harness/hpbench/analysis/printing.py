"""From a drawn figure to what readers get: files in three formats, and an element of a web page."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from hpbench.analysis.canvas import Drawn, drawing, printed
from hpbench.analysis.children import Children
from hpbench.analysis.html import Picture
from hpbench.analysis.inline import Inline, inline
from hpbench.files import atomic_write

__all__ = ["Printed", "Sheet", "print_sheet", "print_sheets", "write_files"]


@dataclass(frozen=True)
class Sheet:
    """A figure, and what is to be made of it.

    Attributes:
        drawn: the figure; printing uses it up.
        picture: how the page shows it, its SVG still empty; None: the page does not.
        ids: put in front of every id on the page; differs from figure to figure.
        filed: whether it becomes files.
    """

    drawn: Drawn
    picture: Picture | None = None
    ids: str = ""
    filed: bool = True


@dataclass(frozen=True)
class Printed:
    """A figure, printed.

    Attributes:
        files: kind of file → content; empty if there are to be none.
        inline: for the page; None if it is not shown there.
    """

    files: Mapping[str, bytes]
    inline: Inline | None


def print_sheets(
    sheets: Iterable[Sheet], strategies: tuple[str, ...], children: Children
) -> Iterator[tuple[Sheet, Printed]]:
    """Yield sheets in their order, printed; the next ones are drawn while children print.

    Args:
        sheets: drawn one by one as they are wanted.
        strategies: names in suite order.
        children: who print, and this process with them.

    Raises:
        ChildError: a child failed.
    """
    waiting: deque[tuple[Sheet, Future[Printed]]] = deque()
    for sheet in sheets:
        waiting.append((sheet, children.call(print_sheet, sheet, strategies)))
        while waiting and waiting[0][1].done():
            first, answer = waiting.popleft()
            yield first, answer.result()
    children.help()
    for rest, answer in waiting:
        yield rest, answer.result()


def print_sheet(sheet: Sheet, strategies: tuple[str, ...]) -> Printed:
    """Return one figure, printed; in whatever process, the bytes are the same."""
    with drawing():
        shown = inline(sheet.drawn, sheet.ids, strategies) if sheet.picture else None
        return Printed(printed(sheet.drawn.figure) if sheet.filed else {}, shown)


def write_files(files: Mapping[str, bytes], folder: Path, name: str) -> list[Path]:
    """Write each kind of file under ``name`` into ``folder`` and return the paths.

    Raises:
        OSError: the folder cannot be written.
    """
    written = []
    for kind, content in files.items():
        written.append(folder / f"{name}.{kind}")
        atomic_write(written[-1], content)
    return written
