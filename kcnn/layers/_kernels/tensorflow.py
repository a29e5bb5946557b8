"""TensorFlow's own kernels."""

import tensorflow as tf


def conv(x, kernel, bias, strides, same):
    x = tf.nn.conv2d(x, kernel, strides, "SAME" if same else "VALID")
    return x if bias is None else tf.nn.bias_add(x, bias)


def batch_norm(x, scale, offset, epsilon):
    unused = tf.zeros_like(scale)
    y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=scale, offset=offset, mean=unused, variance=unused, epsilon=epsilon,
        exponential_avg_factor=1.0, is_training=True,
    )  # fmt: skip
    # The kernel divides by one less than there are numbers.
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float32)
    return y, mean, variance * ((count - 1) / count)


def max_pool(x, size, strides):
    return tf.nn.max_pool2d(x, size, strides, "VALID")
