"""What works on this machine, what is missing, and what to do about it.

``facts`` is what can be known without trying; ``self_test`` tries, in a process of its own.
"""

from __future__ import annotations

from hpbench.doctor.checks import Check, self_test
from hpbench.doctor.facts import facts

__all__ = ["Check", "facts", "self_test"]
