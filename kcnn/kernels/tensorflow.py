"""TensorFlow's own kernels."""

import tensorflow as tf

DIRECT = False


def conv(x, kernel, bias, strides, same):
    x = tf.nn.conv2d(x, kernel, strides, "SAME" if same else "VALID")
    return x if bias is None else tf.nn.bias_add(x, bias)


def batch_norm(x, scale, offset, epsilon, relu):
    unused = tf.zeros_like(scale)
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=unused, variance=unused, epsilon=epsilon,
        exponential_avg_factor=1.0, is_training=True,
    )  # fmt: skip
    # The kernel divides by one less than there are numbers.
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    return tf.nn.relu(y) if relu else y, mean, variance * ((count - 1) / count)


def max_pool(x, size, strides):
    return tf.nn.max_pool2d(x, size, strides, "VALID")


def adam(variables, gradients, momentums, velocities, step, rate, beta_1, beta_2, epsilon, l2):
    powers = tf.pow(beta_1, step), tf.pow(beta_2, step)
    # The kernel's epsilon is the paper's "epsilon hat".
    epsilon = epsilon * tf.sqrt(1 - powers[1])
    for variable, gradient, m, v in zip(variables, gradients, momentums, velocities, strict=True):
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable), m=_handle(m), v=_handle(v), beta1_power=powers[0], beta2_power=powers[1], lr=rate,
            beta1=beta_1, beta2=beta_2, epsilon=epsilon, grad=gradient + l2 * variable.value if l2 else gradient,
        )  # fmt: skip


def feed(batches, start):
    if not batches.in_memory:
        return batches.iterate(start)
    # Keras would wrap the generator in tf.data's own, whose every batch costs the two cores 3 ms.
    example = tf.nest.flatten(batches[start])
    types = [array.dtype for array in example]

    def load(step):
        arrays = tf.numpy_function(lambda number: tf.nest.flatten(batches[int(number)]), [step], types, stateful=False)
        for array, like in zip(arrays, example, strict=True):
            array.set_shape((None, *like.shape[1:]))
        return tf.nest.pack_sequence_as(batches[start], arrays)

    return tf.data.Dataset.range(start, len(batches)).map(load).prefetch(2)


def _handle(variable):
    return variable.value.handle
