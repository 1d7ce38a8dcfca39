"""From the store to frames, statistics, tables and figures; imports no torch, no runner and no strategy.

Importing this loads no matplotlib either: drawing modules are loaded by ``write_report`` alone.
"""

from __future__ import annotations

from hpbench.analysis.frames import Frames, load_frames
from hpbench.analysis.report import write_report

__all__ = ["Frames", "load_frames", "write_report"]
