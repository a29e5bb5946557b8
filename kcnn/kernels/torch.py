"""PyTorch's own kernels: with channels last in memory, channels first is but a view."""

import torch
from torch.nn import functional

DIRECT = KEEP_FREED_MEMORY = True


def conv(x, kernel, bias, strides, padding, dtype):
    dtype = getattr(torch, dtype)
    kernel = kernel.to(dtype).permute(3, 2, 0, 1).contiguous(memory_format=torch.channels_last)
    bias = bias if bias is None else bias.to(dtype)
    return _last(functional.conv2d(_first(x.to(dtype)), kernel, bias, strides, padding))


def batch_norm(x, scale, offset, epsilon, shortcut, relu, dtype):
    dtype = getattr(torch, dtype)
    if scale is None and offset is not None:  # CUDA's kernel gives an offset by itself no gradient
        scale = torch.ones_like(offset)
    y, mean, inverse = torch.native_batch_norm(_first(x.to(dtype)), scale, offset, None, None, True, 0.0, epsilon)
    # In place, since the gradients of these need nothing that is overwritten.
    if shortcut is not None:
        y = y.add_(_first(shortcut.to(dtype)))
    if relu:
        y = y.relu_()
    return _last(y), mean, inverse.pow(-2).sub_(epsilon)


@torch.no_grad()
def move(variable, value, momentum):
    variable.value.lerp_(value, 1 - momentum)


def max_pool(x, size, strides):
    return _last(functional.max_pool2d(_first(x), size, strides))


def subsample(x, strides):
    # The gradient of an average pool comes with the channels first, and slows what it is added to.
    return x[:, :: strides[0], :: strides[1]]


gelu = functional.gelu


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


@torch.no_grad()
def sgd(variables, gradients, velocities, rate, momentum, nesterov, l2):
    values, velocities = ([each.value for each in group] for group in (variables, velocities))
    if l2:
        gradients = torch._foreach_add(gradients, values, alpha=l2)
    steps = torch._foreach_mul(gradients, -rate)
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, steps)
    if nesterov:
        torch._foreach_add_(values, steps)
        torch._foreach_add_(values, velocities, alpha=momentum)
    else:
        torch._foreach_add_(values, velocities)


def feed(batches, start):
    return batches.iterate(start)
