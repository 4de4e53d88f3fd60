"""Settings of the optimiser that every network is trained with, and the learning rate they describe."""

from typing import Literal

from pydantic import Field

from pathosynth.runs.config import Config


class Optimisation(Config):
    """AdamW with linear warm-up and linear decay, on gradients of bounded length."""

    steps: int = Field(4000, gt=0)
    """Optimiser steps."""
    batch: int = Field(1, gt=0)
    """Examples per step and process."""
    accumulate: int = Field(1, gt=0)
    """Batches whose gradients are summed one after the other, per step."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak of AdamW's learning rate."""
    warmup_steps: int = Field(60, ge=0)
    """Steps of linear warm-up."""
    decay_fraction: float = Field(0.4, ge=0, le=1)
    """Share of the steps, at the end, over which the learning rate falls linearly to a hundredth."""
    weight_decay: float = Field(1e-3, ge=0)
    """AdamW's weight decay."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 where the hardware computes in it."""
    gradient_clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient."""
    ema_decay: float = Field(0.998, ge=0, lt=1)
    """Decay of the running average of the weights that is exported."""

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, constant, linear decay to a hundredth; `step` counts from 0."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps))
        decay_steps = self.decay_fraction * self.steps
        if decay_steps:
            rate *= max(0.01, min(1.0, (self.steps - step) / decay_steps))
        return rate
