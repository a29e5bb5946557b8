"""Plain JAX as an expert would write it: one jitted step with donated buffers, channels last."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
PADDING = 4


class Network:
    """Reads its weights from a list in the order of its layers; made by `initial`, with NumPy."""

    def initial(self, generator):
        self.generator, self.weights, self.statistics = generator, [], []
        jax.eval_shape(lambda x: self.forward(x, jax.random.key(0)), jax.ShapeDtypeStruct((2, 32, 32, 3), "float32"))
        weights, statistics = self.weights, self.statistics
        self.generator = None
        return jax.tree.map(jnp.asarray, (weights, statistics))

    def __call__(self, weights, statistics, x, key, dtype):
        self.given, self.running, self.new = iter(weights), iter(statistics), []
        logits = self.forward(x.astype(dtype), key).astype(jnp.float32)
        return logits, self.new

    def weight(self, shape, fan_in=None, value=0.0):
        if self.generator is None:
            return next(self.given)
        draw = self.generator.normal(0, (2 / fan_in) ** 0.5, shape) if fan_in else np.full(shape, value)
        self.weights.append(draw.astype("float32"))
        return jnp.asarray(self.weights[-1])

    def conv(self, x, filters, stride=1, bias=True):
        kernel = self.weight((3, 3, x.shape[-1], filters), 9 * x.shape[-1]).astype(x.dtype)
        x = lax.conv_general_dilated(
            x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        return x + self.weight((filters,)).astype(x.dtype) if bias else x

    def norm(self, x):
        channels = x.shape[-1]
        scale, offset = self.weight((channels,), value=1.0), self.weight((channels,))
        wide = x.astype(jnp.float32)
        mean, square = wide.mean((0, 1, 2)), jnp.square(wide).mean((0, 1, 2))
        variance = jnp.maximum(square - jnp.square(mean), 0)
        if self.generator is not None:
            self.statistics += [np.zeros(channels, "float32"), np.ones(channels, "float32")]
        else:
            self.new += [0.9 * next(self.running) + 0.1 * mean, 0.9 * next(self.running) + 0.1 * variance]
        factor = scale * lax.rsqrt(variance + 1e-5)
        return (wide * factor + (offset - mean * factor)).astype(x.dtype)

    def dense(self, x, units):
        x = x @ self.weight((x.shape[-1], units), x.shape[-1]).astype(x.dtype)
        return x + self.weight((units,)).astype(x.dtype)


def max_pool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def dropout(x, rate, key, shape):
    return jnp.where(jax.random.bernoulli(key, 1 - rate, shape), x / (1 - rate), 0).astype(x.dtype)


class SimpleCNN(Network):
    """The article's network."""

    def forward(self, x, key):
        keys = iter(jax.random.split(key, 3))
        for filters in (32, 64):
            for _ in range(2):
                x = jax.nn.relu(self.norm(self.conv(x, filters)))
            x = max_pool(x)
            x = dropout(x, 0.25, next(keys), (len(x), 1, 1, filters))
        x = max_pool(jax.nn.relu(self.norm(self.conv(x, 128))))
        x = jax.nn.relu(self.dense(x.reshape(len(x), 2048), 512))
        return self.dense(dropout(x, 0.5, next(keys), x.shape), 10)


class ResNet20(Network):
    """ResNet-20 of He et al. (2015), section 4.2."""

    def forward(self, x, key):
        x = jax.nn.relu(self.norm(self.conv(x, 16, bias=False)))
        for filters in [16] * 3 + [32] * 3 + [64] * 3:
            more = filters - x.shape[-1]
            # Option A: every second pixel, and zeros for the new channels.
            shortcut = jnp.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, more))) if more else x
            y = jax.nn.relu(self.norm(self.conv(x, filters, 2 if more else 1, bias=False)))
            x = jax.nn.relu(self.norm(self.conv(y, filters, bias=False)) + shortcut)
        return self.dense(x.mean((1, 2)), 10)


def augment(images, key):
    """Flip and crop each image of a uint8 batch (B, H, W, C) on its own."""
    batch, height, width, channels = images.shape
    first, second, third = jax.random.split(key, 3)
    padded = jnp.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    down = jax.random.randint(first, (batch, 1), 0, 2 * PADDING + 1)
    right = jax.random.randint(second, (batch, 1), 0, 2 * PADDING + 1)
    columns = jnp.arange(width)[None]
    columns = jnp.where(jax.random.uniform(third, (batch, 1)) < 0.5, width - 1 - columns, columns) + right
    rows = jnp.arange(height)[None] + down
    side = height + 2 * PADDING
    index = ((jnp.arange(batch)[:, None] * side + rows)[:, :, None]) * side + columns[:, None]
    return padded.reshape(-1, channels)[index]


def trainer(network, precision, images, labels, batch_size, compiled=True):
    """Return a function that trains on the next `steps` batches and returns their mean loss, and the seconds."""
    dtype = jnp.bfloat16 if precision == "mixed_bfloat16" else jnp.float32
    model = {"simple_cnn": SimpleCNN, "resnet20": ResNet20}[network]()
    generator = np.random.default_rng(0)
    weights, statistics = model.initial(generator)
    adam = network == "simple_cnn"
    slots = [[jnp.zeros_like(w) for w in weights] for _ in range(2 if adam else 1)]
    mean, std = np.array(MEAN, "float32") * 255, np.array(STD, "float32") * 255

    def loss_of(weights, statistics, pixels, targets, key):
        first, second = jax.random.split(key)
        x = (augment(pixels, first).astype(jnp.float32) - mean) / std
        logits, new = model(weights, statistics, x, second, dtype)
        loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], axis=1).mean()
        return loss, (new, (logits.argmax(1) == targets).sum())

    @partial(jax.jit, donate_argnums=0)
    def step(state, pixels, targets):
        weights, statistics, slots, number, loss_sum, correct = state
        key = jax.random.fold_in(jax.random.key(0), number)
        (loss, (statistics, right)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            weights, statistics, pixels, targets, key
        )
        gradients = jax.tree.map(lambda gradient, weight: gradient + 1e-4 * weight, gradients, weights)
        number = number + 1
        if adam:
            first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, slots[0], gradients)
            second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, slots[1], gradients)
            slots = [first, second]
            rate = 1e-3 * jnp.sqrt(1 - 0.999**number) / (1 - 0.9**number)
            weights = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-8), weights, first, second)
        else:
            slots = [jax.tree.map(lambda m, g: 0.9 * m + g, slots[0], gradients)]
            weights = jax.tree.map(lambda w, m, g: w - 0.1 * (g + 0.9 * m), weights, slots[0], gradients)
        return weights, statistics, slots, number, loss_sum + loss, correct + right

    state = [(weights, statistics, slots, jnp.float32(0), jnp.float32(0), jnp.int32(0))]
    order = [np.empty(0, "int64")]
    labels = labels.astype("int32")

    def train(steps):
        start = time.perf_counter()
        state[0] = (*state[0][:4], jnp.float32(0), jnp.int32(0))
        for _ in range(steps):
            if len(order[0]) < batch_size:
                order[0] = generator.permutation(len(images))
            rows, order[0] = order[0][:batch_size], order[0][batch_size:]
            state[0] = step(state[0], images[rows], labels[rows])
        mean_loss = float(state[0][4]) / steps
        return mean_loss, time.perf_counter() - start

    return train
