"""PyTorch's own kernels: with channels last in memory, channels first is but a view."""

import torch
from torch.nn import functional

DIRECT = True


def conv(x, kernel, bias, strides, same):
    # Kernels are of odd size where `same` is wanted, so that both sides are padded alike.
    padding = [size // 2 for size in kernel.shape[:2]] if same else 0
    kernel = kernel.permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    return _last(functional.conv2d(_first(x), kernel, bias, strides, padding))


def batch_norm(x, scale, offset, epsilon, relu):
    mean, variance = torch.zeros_like(scale), torch.zeros_like(scale)
    y = functional.batch_norm(_first(x), mean, variance, scale, offset, True, 1.0, epsilon)
    if relu:
        y = y.relu_()
    # The kernel divides by one less than there are numbers.
    count = x.numel() // x.shape[-1]
    return _last(y), mean, variance * ((count - 1) / count)


def max_pool(x, size, strides):
    return _last(functional.max_pool2d(_first(x), size, strides))


def _first(x):
    return x.permute(0, 3, 1, 2)


def _last(x):
    return x.permute(0, 2, 3, 1)


def adam(variables, gradients, momentums, velocities, step, rate, beta_1, beta_2, epsilon, l2):
    steps = [step] * len(variables)
    values, momentums, velocities = ([each.value for each in group] for group in (variables, momentums, velocities))
    torch._fused_adam_(
        values, gradients, momentums, velocities, [], steps, lr=rate, beta1=beta_1, beta2=beta_2, weight_decay=l2,
        eps=epsilon, amsgrad=False, maximize=False,
    )  # fmt: skip


def feed(batches, start):
    return batches.iterate(start)
