"""Network families: an ordinary module built from a configuration, and its search space."""

from __future__ import annotations

from hpbench.registry import Registry
from hpbench.tasks.networks.base import NetworkFamily

__all__ = ["REGISTRY", "NetworkFamily"]

REGISTRY: Registry[NetworkFamily] = Registry(
    kind="network",
    group="hpbench.networks",
    builtin={
        "cnn": "hpbench.tasks.networks.cnn:CNN",
        "mlp": "hpbench.tasks.networks.mlp:MLP",
    },
)
