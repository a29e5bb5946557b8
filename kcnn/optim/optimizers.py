"""Keras optimizers under the names and the options of recipes, with L2 that PyTorch calls weight decay."""

import keras
from keras import ops

from kcnn.kernels import kernels
from kcnn.optim.muon import Muon


def adam(
    *,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    l2: float = 0.0,
    decay_norm_and_bias: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulation_steps: int = 1,
):
    """Adam (Kingma & Ba 2015); `l2` is added to the gradient, as PyTorch's `Adam(weight_decay=)` does.

    Args:
        learning_rate: At the schedule's peak.
        beta_1, beta_2: Decay of the running mean of the gradient, and of its square; 0 to below 1.
        epsilon: Added to the root of the mean square, by which a step is divided.
        l2: Times each variable, is added to its gradient.
        decay_norm_and_bias: Whether the decay is also of what has one dimension: norms and biases.
        clip_norm: The largest norm of all gradients together; larger ones are scaled down.
        clip_value: The largest absolute value of a gradient; not beside `clip_norm`.
        accumulation_steps: Steps whose gradients are averaged before the weights move.
    """
    return _build(
        keras.optimizers.Adam,
        {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2, "epsilon": epsilon},
        l2=l2,
        decay_norm_and_bias=decay_norm_and_bias,
        clip_norm=clip_norm,
        clip_value=clip_value,
        accumulation_steps=accumulation_steps,
    )


def adamw(
    *,
    learning_rate: float = 1e-3,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
    decay_norm_and_bias: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulation_steps: int = 1,
):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019): weights shrink by rate times decay.

    Args:
        weight_decay: Times the learning rate, the share that each variable loses at a step.

    The other arguments are `adam`'s.
    """
    return _build(
        keras.optimizers.AdamW,
        {
            "learning_rate": learning_rate,
            "beta_1": beta_1,
            "beta_2": beta_2,
            "epsilon": epsilon,
            "weight_decay": weight_decay,
        },
        decay_norm_and_bias=decay_norm_and_bias,
        clip_norm=clip_norm,
        clip_value=clip_value,
        accumulation_steps=accumulation_steps,
    )


def sgd(
    *,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    nesterov: bool = True,
    l2: float = 0.0,
    norm_bias_factor: float = 1.0,
    decay_norm_and_bias: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulation_steps: int = 1,
):
    """Stochastic gradient descent with momentum, Nesterov's by default; `l2` is added to the gradient.

    Args:
        momentum: Share of the last step that is added to each, 0 to below 1.
        nesterov: Whether the gradient is that of the place to which the momentum leads.
        norm_bias_factor: On the learning rate of the biases of normalisations, whose decay stays what it was.

    The other arguments are `adam`'s.
    """
    return _build(
        keras.optimizers.SGD,
        {"learning_rate": learning_rate, "momentum": momentum, "nesterov": nesterov},
        l2=l2,
        norm_bias_factor=norm_bias_factor,
        decay_norm_and_bias=decay_norm_and_bias,
        clip_norm=clip_norm,
        clip_value=clip_value,
        accumulation_steps=accumulation_steps,
    )


def lion(
    *,
    learning_rate: float = 1e-4,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
    weight_decay: float = 0.0,
    decay_norm_and_bias: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulation_steps: int = 1,
):
    """Lion (Chen et al. 2023): the sign of an interpolated momentum, with decoupled weight decay.

    Args:
        beta_1, beta_2: Share of the momentum in a step, and in what is remembered; above 0 and below 1.

    The other arguments are `adamw`'s.
    """
    return _build(
        keras.optimizers.Lion,
        {"learning_rate": learning_rate, "beta_1": beta_1, "beta_2": beta_2, "weight_decay": weight_decay or None},
        decay_norm_and_bias=decay_norm_and_bias,
        clip_norm=clip_norm,
        clip_value=clip_value,
        accumulation_steps=accumulation_steps,
    )


def muon(
    *,
    learning_rate: float = 0.24,
    momentum: float = 0.6,
    iterations: int = 3,
    normalize: bool = True,
    others_factor: float = 7.0,
    others_momentum: float = 0.85,
    l2: float = 0.0,
    norm_bias_factor: float = 1.0,
    decay_norm_and_bias: bool = True,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    accumulation_steps: int = 1,
):
    """Muon (Jordan et al. 2024): kernels of convolutions move by orthogonal matrices, the rest by Nesterov's descent.

    Args:
        learning_rate: Of the kernels, at the schedule's peak: the size of a step, since an orthogonal matrix has none.
        momentum: Of the kernels, 0 to below 1.
        iterations: Of Newton and Schulz, which make a matrix orthogonal.
        normalize: Whether each kernel is first scaled to the norm of an orthogonal matrix, in place of a decay.
        others_factor: Learning rate of the rest, as a factor on that of the kernels.
        others_momentum: Of the rest, 0 to below 1.
        l2: Times each variable of the rest, is added to its gradient.

    The other arguments are `sgd`'s.
    """
    return _build(
        Muon,
        {
            "learning_rate": learning_rate,
            "momentum": momentum,
            "iterations": iterations,
            "normalize": normalize,
            "others_factor": others_factor,
            "others_momentum": others_momentum,
        },
        l2=l2,
        norm_bias_factor=norm_bias_factor,
        decay_norm_and_bias=decay_norm_and_bias,
        clip_norm=clip_norm,
        clip_value=clip_value,
        accumulation_steps=accumulation_steps,
    )


def _build(
    optimizer_class,
    arguments,
    *,
    decay_norm_and_bias,
    clip_norm,
    clip_value,
    accumulation_steps,
    l2=0.0,
    norm_bias_factor=1.0,
):
    if clip_norm is not None and clip_value is not None:
        raise ValueError("Expected `clip_norm` or `clip_value`, not both.")
    if accumulation_steps < 1:
        raise ValueError(f"`accumulation_steps` must be at least 1. Received: {accumulation_steps}")
    for name in ("beta_1", "beta_2", "momentum", "others_momentum"):
        if not 0 <= arguments.get(name, 0) < 1:
            raise ValueError(f"`{name}` must be at least 0 and less than 1. Received: {arguments[name]}")
    for name, value in (("weight_decay", arguments.get("weight_decay")), ("l2", l2)):
        if value is not None and value < 0:
            raise ValueError(f"`{name}` must be at least 0. Received: {value}")
    for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        if value is not None and value <= 0:
            raise ValueError(f"`{name}` must be greater than 0. Received: {value}")
    if norm_bias_factor <= 0:
        raise ValueError(f"`norm_bias_factor` must be greater than 0. Received: {norm_bias_factor}")
    # The class of an instance, since on PyTorch Keras answers this constructor with a faster subclass.
    decaying = _decaying(type(optimizer_class()), l2, decay_norm_and_bias, norm_bias_factor)
    return decaying(
        **arguments,
        global_clipnorm=clip_norm,
        clipvalue=clip_value,
        gradient_accumulation_steps=accumulation_steps if accumulation_steps > 1 else None,
        name=optimizer_class.__name__.lower(),
    )


def _decaying(base, l2, decay_norm_and_bias, norm_bias_factor):
    class Decaying(base):
        """Adds `l2 * variable` to each gradient after clipping, and may spare one-dimensional variables.

        What `norm_bias_factor` gives the learning rate of a normalisation's bias it takes from its L2.

        Attributes:
            factors: {path of a variable: factor on its learning rate}, decoupled decay included; 1 where it has none.
        """

        factors = {}

        def _use_weight_decay(self, variable):
            return super()._use_weight_decay(variable) and (decay_norm_and_bias or len(variable.shape) > 1)

        def _l2(self, variable):
            if not self._use_weight_decay(variable):
                return 0.0
            return l2 / norm_bias_factor if is_norm_bias(variable) else l2

        def _apply_weight_decay(self, variables):
            decay = self.weight_decay
            if decay is None or not self.factors:
                super()._apply_weight_decay(variables)
                return
            variables = [variable for variable in variables if self._use_weight_decay(variable)]
            try:
                for factor, group in self._by_factor([(variable,) for variable in variables]):
                    self.weight_decay = decay * factor
                    super()._apply_weight_decay(*group)
            finally:
                self.weight_decay = decay

        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            for factor, group in self._by_factor(zip(trainable_variables, grads, strict=True)):
                variables, gradients = group
                self._update(gradients, variables, learning_rate if factor == 1 else learning_rate * factor)

        def _by_factor(self, items):
            """Yield (factor, items) of items, which begin with a variable, of the same factor, as `grouped` does."""
            return grouped(items, self._factor)

        def _factor(self, variable):
            factor = self.factors.get(variable.path, 1.0)
            return factor * norm_bias_factor if is_norm_bias(variable) else factor

        def _update(self, grads, trainable_variables, learning_rate):
            update = self._fused()
            if update:
                for decay, (variables, gradients) in grouped(zip(trainable_variables, grads, strict=True), self._l2):
                    update(gradients, variables, ops.cast(learning_rate, "float32"), decay)
                return
            if l2:
                grads = [
                    grad + decay * ops.convert_to_tensor(variable) if (decay := self._l2(variable)) else grad
                    for grad, variable in zip(grads, trainable_variables, strict=True)
                ]
            if not isinstance(self, keras.optimizers.Adam):
                super()._backend_update_step(grads, trainable_variables, learning_rate)
                return
            # Adam's epsilon is that of the paper's Algorithm 1 and of PyTorch; Keras's update takes the paper's
            # "epsilon hat", which in the first step is 32 times as large beside the second moment. A tensor of this
            # trace must not outlive the step, so the number is put back.
            epsilon, step = self.epsilon, ops.cast(self.iterations + 1, "float32")
            self.epsilon = epsilon * ops.sqrt(1 - ops.power(ops.cast(self.beta_2, "float32"), step))
            try:
                super()._backend_update_step(grads, trainable_variables, learning_rate)
            finally:
                self.epsilon = epsilon

        def _fused(self):
            """Return the framework's own update `(gradients, variables, rate, l2)`, or None where it has none."""
            if isinstance(self, keras.optimizers.Adam) and kernels().adam:
                return self._fused_adam
            if isinstance(self, keras.optimizers.SGD) and self.momentum and kernels().sgd:
                return self._fused_sgd
            return None

        def _fused_adam(self, gradients, variables, rate, l2):
            step = ops.cast(self.iterations + 1, "float32")
            momentums, velocities = (self._beside(variables, state) for state in (self._momentums, self._velocities))
            kernels().adam(
                variables, gradients, momentums, velocities, step, rate, self.beta_1, self.beta_2, self.epsilon, l2
            )

        def _fused_sgd(self, gradients, variables, rate, l2):
            velocities = self._beside(variables, self.momentums)
            kernels().sgd(variables, gradients, velocities, rate, self.momentum, self.nesterov, l2)

        def _beside(self, variables, state):
            """Return those of the optimizer's own variables that belong to `variables`."""
            return [state[self._get_variable_index(variable)] for variable in variables]

    return Decaying


def is_norm_bias(variable):
    """Whether a variable is what a normalisation adds, `beta` in Keras."""
    return variable.name == "beta"


def grouped(items, key):
    """Yield (key, items) of the items whose first elements have the same key, the items as one list a column."""
    groups = {}
    for item in items:
        groups.setdefault(key(item[0]), []).append(item)
    for value, group in groups.items():
        yield value, [list(column) for column in zip(*group, strict=True)]
