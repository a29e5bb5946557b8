"""Plain TensorFlow as an expert would write it for a CPU: one tf.function, the fused batch norm, the fused Adam."""

import time

import numpy as np
import tensorflow as tf

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
PADDING = 4


class Network:
    """Holds the variables of a network; makes them as the layers are first called."""

    def __init__(self, dtype):
        self.dtype = dtype
        self.trainable, self.statistics, self.calls = [], [], None

    def variable(self, shape, initial, trainable=True):
        kept = self.trainable if trainable else self.statistics
        if self.calls is None:
            with tf.init_scope():
                kept.append(tf.Variable(initial(shape), trainable=trainable))
            return kept[-1]
        return next(self.calls[trainable])

    def __call__(self, x):
        x = self.forward(tf.cast(x, self.dtype))
        self.calls = None
        return tf.cast(x, tf.float32)

    def reuse(self):
        self.calls = {True: iter(self.trainable), False: iter(self.statistics)}

    def conv(self, x, filters, stride=1, bias=True):
        shape = (3, 3, x.shape[-1], filters)
        kernel = self.variable(shape, tf.initializers.HeNormal(1))
        if stride > 1:  # conv2d's own explicit padding is 50 times slower in bfloat16 on a CPU
            x = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x = tf.nn.conv2d(x, tf.cast(kernel, self.dtype), stride, "SAME" if stride == 1 else "VALID")
        return tf.nn.bias_add(x, tf.cast(self.variable((filters,), tf.zeros), self.dtype)) if bias else x

    def norm(self, x):
        shape = (x.shape[-1],)
        scale, offset = self.variable(shape, tf.ones), self.variable(shape, tf.zeros)
        mean, variance = self.variable(shape, tf.zeros, False), self.variable(shape, tf.ones, False)
        x, new_mean, new_variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=scale, offset=offset, mean=mean, variance=variance, epsilon=1e-5,
            exponential_avg_factor=0.1, is_training=True,
        )  # fmt: skip
        mean.assign(new_mean)
        variance.assign(new_variance)
        return x

    def dense(self, x, units):
        x = x @ tf.cast(self.variable((x.shape[-1], units), tf.initializers.HeNormal(1)), self.dtype)
        return tf.nn.bias_add(x, tf.cast(self.variable((units,), tf.zeros), self.dtype))


class SimpleCNN(Network):
    """The article's network."""

    def forward(self, x):
        for filters in (32, 64):
            for _ in range(2):
                x = tf.nn.relu(self.norm(self.conv(x, filters)))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
            x = tf.nn.dropout(x, 0.25, noise_shape=(tf.shape(x)[0], 1, 1, filters))
        x = tf.nn.max_pool2d(tf.nn.relu(self.norm(self.conv(x, 128))), 2, 2, "VALID")
        x = tf.nn.relu(self.dense(tf.reshape(x, (-1, 2048)), 512))
        return self.dense(tf.nn.dropout(x, 0.5), 10)


class ResNet20(Network):
    """ResNet-20 of He et al. (2015), section 4.2."""

    def forward(self, x):
        x = tf.nn.relu(self.norm(self.conv(x, 16, bias=False)))
        for filters in [16] * 3 + [32] * 3 + [64] * 3:
            more = filters - x.shape[-1]
            # Option A: every second pixel, and zeros for the new channels.
            shortcut = tf.pad(x[:, ::2, ::2], ((0, 0), (0, 0), (0, 0), (0, more))) if more else x
            y = tf.nn.relu(self.norm(self.conv(x, filters, 2 if more else 1, bias=False)))
            x = tf.nn.relu(self.norm(self.conv(y, filters, bias=False)) + shortcut)
        return self.dense(tf.reduce_mean(x, (1, 2)), 10)


def augment(images):
    """Flip and crop each image of a uint8 batch (B, H, W, C) on its own."""
    batch, height, width, channels = images.shape
    padded = tf.pad(images, ((0, 0), (PADDING, PADDING), (PADDING, PADDING), (0, 0)))
    down = tf.random.uniform((batch, 1), 0, 2 * PADDING + 1, tf.int32)
    right = tf.random.uniform((batch, 1), 0, 2 * PADDING + 1, tf.int32)
    columns = tf.range(width)[None]
    columns = tf.where(tf.random.uniform((batch, 1)) < 0.5, width - 1 - columns, columns) + right
    rows = tf.range(height)[None] + down
    side = height + 2 * PADDING
    index = ((tf.range(batch)[:, None] * side + rows)[:, :, None]) * side + columns[:, None]
    return tf.gather(tf.reshape(padded, (-1, channels)), index)


def trainer(network, precision, images, labels, batch_size, compiled=False):
    """Return a function that trains on the next `steps` batches and returns their mean loss, and the seconds."""
    model = {"simple_cnn": SimpleCNN, "resnet20": ResNet20}[network](
        tf.bfloat16 if precision == "mixed_bfloat16" else tf.float32
    )
    model(tf.zeros((2, 32, 32, 3)))
    slots = [tf.Variable(tf.zeros_like(v)) for v in model.trainable for _ in range(2 if network == "simple_cnn" else 1)]
    power = tf.Variable(1.0), tf.Variable(1.0)
    mean, std = tf.constant(MEAN) * 255, tf.constant(STD) * 255
    loss_sum, correct = tf.Variable(0.0), tf.Variable(0.0)

    @tf.function(jit_compile=compiled, reduce_retracing=True)
    def step(pixels, targets):
        model.reuse()
        with tf.GradientTape() as tape:
            logits = model((tf.cast(augment(pixels), tf.float32) - mean) / std)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        gradients = tape.gradient(loss, model.trainable)
        if network == "simple_cnn":
            power[0].assign(power[0] * 0.9)
            power[1].assign(power[1] * 0.999)
        for index, (variable, gradient) in enumerate(zip(model.trainable, gradients, strict=True)):
            gradient = gradient + 1e-4 * variable
            if network == "simple_cnn":
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.handle, m=slots[2 * index].handle, v=slots[2 * index + 1].handle,
                    beta1_power=power[0], beta2_power=power[1], lr=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8,
                    grad=gradient,
                )  # fmt: skip
            else:
                tf.raw_ops.ResourceApplyKerasMomentum(
                    var=variable.handle, accum=slots[index].handle, lr=0.1, grad=gradient, momentum=0.9,
                    use_nesterov=True,
                )  # fmt: skip
        loss_sum.assign_add(loss)
        correct.assign_add(tf.reduce_sum(tf.cast(tf.argmax(logits, 1, tf.int32) == targets, tf.float32)))

    generator = np.random.default_rng(0)
    state = {"order": np.empty(0, "int64")}
    labels = labels.astype("int32")

    def train(steps):
        start = time.perf_counter()
        loss_sum.assign(0.0)
        correct.assign(0.0)
        for _ in range(steps):
            if len(state["order"]) < batch_size:
                state["order"] = generator.permutation(len(images))
            rows, state["order"] = state["order"][:batch_size], state["order"][batch_size:]
            step(tf.constant(images[rows]), tf.constant(labels[rows]))
        mean_loss = float(loss_sum) / steps
        return mean_loss, time.perf_counter() - start

    return train
