"""TensorFlow's own kernels."""

import tensorflow as tf

DIRECT = KEEP_FREED_MEMORY = False


def conv(x, kernel, bias, strides, padding, dtype):
    x, kernel = tf.cast(x, dtype), tf.cast(kernel, dtype)
    sides = tuple(kernel.shape[:2])
    same = strides == (1, 1) and padding == tuple(size // 2 for size in sides) and all(size % 2 for size in sides)
    if any(padding) and not same:
        # conv2d's own explicit padding is 50 times slower in bfloat16 on a CPU.
        x = tf.pad(x, [(0, 0), *((size, size) for size in padding), (0, 0)])
    x = tf.nn.conv2d(x, kernel, strides, "SAME" if same else "VALID")
    return x if bias is None else tf.nn.bias_add(x, tf.cast(bias, dtype))


def batch_norm(x, scale, offset, epsilon, shortcut, relu, dtype):
    x = tf.cast(x, dtype)
    unused = tf.zeros(x.shape[-1])
    scale = tf.ones_like(unused) if scale is None else scale
    offset = unused if offset is None else offset
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=unused, variance=unused, epsilon=epsilon,
        exponential_avg_factor=1.0, is_training=True,
    )  # fmt: skip
    # The kernel divides by one less than there are numbers.
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    if shortcut is not None:
        y = y + tf.cast(shortcut, dtype)
    return tf.nn.relu(y) if relu else y, mean, variance * ((count - 1) / count)


def move(variable, value, momentum):
    variable.assign(variable * momentum + value * (1.0 - momentum))


def max_pool(x, size, strides):
    return tf.nn.max_pool2d(x, size, strides, "VALID")


def subsample(x, strides):
    return tf.nn.avg_pool2d(x, 1, strides, "VALID")


@tf.custom_gradient
def gelu(x):
    return _gelu(x), lambda gradient: _gelu_gradient(x, gradient)


# Compiled, since TensorFlow has no kernel for it and would go over the numbers a dozen times.
@tf.function(jit_compile=True)
def _gelu(x):
    wide = tf.cast(x, tf.float32)
    return tf.cast(wide * _share_below(wide), x.dtype)


@tf.function(jit_compile=True)
def _gelu_gradient(x, gradient):
    wide = tf.cast(x, tf.float32)
    density = tf.exp(-0.5 * wide * wide) * 0.3989422804014327  # 1 / sqrt(2 pi)
    return tf.cast(tf.cast(gradient, tf.float32) * (_share_below(wide) + wide * density), x.dtype)


def _share_below(x):
    return 0.5 * (1.0 + tf.math.erf(x * 0.7071067811865476))


def adam(variables, gradients, momentums, velocities, step, rate, beta_1, beta_2, epsilon, l2):
    powers = tf.pow(beta_1, step), tf.pow(beta_2, step)
    # The kernel's epsilon is the paper's "epsilon hat".
    epsilon = epsilon * tf.sqrt(1 - powers[1])
    for variable, gradient, m, v in zip(variables, gradients, momentums, velocities, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable), m=_handle(m), v=_handle(v), beta1_power=powers[0], beta2_power=powers[1], lr=rate,
            beta1=beta_1, beta2=beta_2, epsilon=epsilon, grad=gradient + l2 * variable.value if l2 else gradient,
        )  # fmt: skip


def sgd(variables, gradients, velocities, rate, momentum, nesterov, l2):
    for variable, gradient, velocity in zip(variables, gradients, velocities, strict=True):
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=_handle(variable), accum=_handle(velocity), lr=rate, momentum=momentum, use_nesterov=nesterov,
            grad=gradient + l2 * variable.value if l2 else gradient,
        )  # fmt: skip


def feed(batches, start):
    if not batches.in_memory:
        return batches.iterate(start)
    # Keras would wrap the generator in tf.data's own, whose every batch costs the two cores 3 ms.
    first = batches[start]  # here, since within `map` nothing is computed that a transformation could look at
    example = tf.nest.flatten(first)
    types = [array.dtype for array in example]

    def load(step):
        arrays = tf.numpy_function(lambda number: tf.nest.flatten(batches[int(number)]), [step], types, stateful=False)
        for array, like in zip(arrays, example, strict=True):
            array.set_shape((None, *like.shape[1:]))
        return tf.nest.pack_sequence_as(first, arrays)

    return tf.data.Dataset.range(start, len(batches)).map(load).prefetch(2)


def _handle(variable):
    return variable.value.handle
