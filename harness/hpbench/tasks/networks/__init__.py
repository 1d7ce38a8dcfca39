"""Network families: an ordinary module built from a configuration, and its search space."""

from __future__ import annotations

from hpbench.registry import Registry
from hpbench.tasks.networks.base import NetworkFamily, training_space

__all__ = ["REGISTRY", "NetworkFamily", "training_space"]

REGISTRY: Registry[NetworkFamily] = Registry(
    kind="network",
    group="hpbench.networks",
    builtin={
        "cnn": "hpbench.tasks.networks.cnn:CNN",
        "logistic": "hpbench.tasks.networks.logistic:LOGISTIC",
        "mlp": "hpbench.tasks.networks.mlp:MLP",
        "resnet": "hpbench.tasks.networks.resnet:RESNET",
        "resnet-batchnorm": "hpbench.tasks.networks.resnet:RESNET_BATCHNORM",
        "rnn": "hpbench.tasks.networks.rnn:RNN",
        "transformer": "hpbench.tasks.networks.transformer:TRANSFORMER",
    },
    wanted="a hpbench.tasks.networks.NetworkFamily",
    fits=lambda item: isinstance(item, NetworkFamily),
)
