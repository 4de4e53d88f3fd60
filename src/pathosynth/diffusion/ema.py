"""Exponential moving average of a model's weights, kept in float32 beside it."""

from typing import Any

import torch
from torch import Tensor, nn

from pathosynth.runs.errors import ConfigError, ModelError


class Ema:
    """Running average of the parameters; buffers are copied as they are.

    After update k = 0, 1, ... : average <- d_k average + (1 - d_k) weights, d_k = min(decay, (1 + k) / (warmup + k)),
    so that early averages forget the random start.

    Attributes:
        tensors: name to average, the names of `model.state_dict()`; floating parameters in float32.
        updates: number of updates so far; save it with the tensors.
    """

    def __init__(self, model: nn.Module, decay: float = 0.999, warmup: int = 10) -> None:
        """Start from the model's present weights.

        Args:
            model: the bare model, not its DistributedDataParallel wrapper.
            decay: d above, in [0, 1).
            warmup: how slowly d_k rises to `decay`; 0 or 1 uses `decay` from the start.
        """
        if not 0 <= decay < 1 or warmup < 0:
            raise ConfigError(f"EMA: expected decay in [0, 1) and warmup of 0 or more, found {decay} and {warmup}.")
        self.decay, self.warmup, self.updates = decay, warmup, 0
        self._averaged = {name for name, p in model.named_parameters(remove_duplicate=False) if p.is_floating_point()}
        self.tensors = {name: self._as_kept(name, value).clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model's weights by one step."""
        k = self.updates
        decay = min(self.decay, (1 + k) / max(self.warmup + k, 1))
        for name, value in model.state_dict().items():
            kept = self.tensors[name]
            if name in self._averaged:
                kept.lerp_(value.to(kept), 1 - decay)
            else:
                kept.copy_(value)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, model: nn.Module) -> None:
        """Write the average into `model`, in the model's own types."""
        model.load_state_dict(self.tensors)

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors to save; save `updates` as well."""
        return self.tensors

    def load_state_dict(self, tensors: dict[str, Tensor], updates: int) -> None:
        """Take over saved averages.

        Raises:
            ModelError: names or shapes are not those of this model.
        """
        found: dict[str, Any] = {name: tuple(value.shape) for name, value in tensors.items()}
        expected = {name: tuple(value.shape) for name, value in self.tensors.items()}
        if found != expected:
            wrong = sorted(name for name in expected | found if expected.get(name) != found.get(name))
            raise ModelError(f"EMA weights do not fit the model: {', '.join(wrong[:5])} differ. Use the model's own.")
        for name, value in tensors.items():
            self.tensors[name].copy_(value)
        self.updates = updates

    def _as_kept(self, name: str, value: Tensor) -> Tensor:
        return value.detach().float() if name in self._averaged else value.detach()
