"""A schedule is an array: the factor on the peak learning rate at each step of the training.

It is computed once, in NumPy, and looked up by the training step: so the rate is the same number on each
backend, and what the history records is what was used. Only under mixed_float16 it may not be: the optimizer leaves
out a step whose gradient is not finite, and its rates then lag behind by as many steps as it left out.
"""

from typing import Literal

import keras
import numpy as np
from keras import ops


def constant(epochs, steps_per_epoch, *, warmup_epochs: float = 0.0):
    """The same rate throughout, after an optional linear warm-up.

    Args:
        warmup_epochs: Length of a linear rise before it.
    """
    return _warm_up(np.ones(epochs * steps_per_epoch), steps_per_epoch, warmup_epochs, epochs)


def cosine(
    epochs,
    steps_per_epoch,
    *,
    warmup_epochs: float = 0.0,
    per: Literal["step", "epoch"] = "step",
    final: float = 0.0,
):
    """Half a cosine from 1 down to `final` (Loshchilov & Hutter 2017), in steps or in whole epochs.

    Args:
        warmup_epochs: Length of a linear rise before it.
        per: "epoch" holds the rate within an epoch, as PyTorch's CosineAnnealingLR stepped once an epoch does.
        final: Factor at the end.
    """
    warmup = _warmup_steps(steps_per_epoch, warmup_epochs, epochs)
    steps = np.arange(epochs * steps_per_epoch)
    if per == "epoch":
        steps = steps // steps_per_epoch * steps_per_epoch
    progress = np.clip((steps - warmup) / max(len(steps) - warmup, 1), 0.0, 1.0)
    factors = final + (1.0 - final) * 0.5 * (1.0 + np.cos(np.pi * progress))
    return _warm_up(factors, steps_per_epoch, warmup_epochs, epochs)


def step(
    epochs,
    steps_per_epoch,
    *,
    milestones: list[int] = [],  # noqa: B006 - read as a literal, never changed
    gamma: float = 0.1,
    warmup_epochs: float = 0.0,
):
    """Multiply the rate by `gamma` at the start of each epoch of `milestones`.

    Args:
        milestones: Epochs, counted from 0.
        gamma: Factor at each of them.
        warmup_epochs: Length of a linear rise before it.
    """
    epoch = np.arange(epochs * steps_per_epoch) // steps_per_epoch
    passed = np.sum(epoch[:, None] >= np.asarray(milestones, dtype=int)[None, :], axis=1)
    return _warm_up(gamma**passed, steps_per_epoch, warmup_epochs, epochs)


def triangular(epochs, steps_per_epoch, *, peak: float = 0.23, start: float = 0.2, final: float = 0.0):
    """A line from `start` up to 1 and one from there down to `final` (Smith 2017, with a single cycle).

    Args:
        peak: Share of the steps after which the rate is highest, 0 to below 1; 0 leaves the rise out.
        start: Factor of the first step.
        final: Factor that the step after the last would have.
    """
    if not 0 <= peak < 1:
        raise ValueError(f"`peak` must be at least 0 and less than 1. Received: peak={peak}")
    steps = epochs * steps_per_epoch
    top = min(round(peak * steps), steps - 1)
    rise, fall = np.linspace(start, 1.0, top, endpoint=False), np.linspace(1.0, final, steps - top, endpoint=False)
    return np.concatenate([rise, fall])


def _warmup_steps(steps_per_epoch, warmup_epochs, epochs):
    if not 0 <= warmup_epochs < epochs:
        raise ValueError(
            "`warmup_epochs` must be at least 0 and less than `epochs`, or the learning rate never reaches its peak. "
            f"Received: warmup_epochs={warmup_epochs}, epochs={epochs}"
        )
    return round(warmup_epochs * steps_per_epoch)


def _warm_up(factors, steps_per_epoch, warmup_epochs, epochs):
    warmup = _warmup_steps(steps_per_epoch, warmup_epochs, epochs)
    rise = (np.arange(warmup) + 1) / max(warmup, 1)
    return np.concatenate([rise, factors[warmup:]])


class LearningRateTable(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate looked up by the number of steps made so far, those that accumulate a gradient included.

    Args:
        rates: 1-D float array, one learning rate a step; the last one holds beyond its end.
    """

    def __init__(self, rates):
        self.rates = np.asarray(rates, dtype="float32")
        # A variable, so that the table is copied to the device once, and not at each step.
        self.table = keras.Variable(self.rates, trainable=False, name="rates")

    def __call__(self, step):
        last = len(self.rates) - 1
        return ops.take(self.table, ops.minimum(ops.cast(step, "int32"), last))

    def get_config(self):
        return {"rates": self.rates.tolist()}
