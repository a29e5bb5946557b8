"""airbench94 (Jordan 2024) in plain PyTorch as an expert would write it: what `cifar10_fast` is measured by.

python benchmarks/plain_airbench.py cifar10.tar.xz --on test     (its accuracy, and the seconds that its training takes)
"""

import math
import time

import numpy as np
import torch
from _plain import DEVICE, images_of, options_of
from torch import nn
from torch.nn import functional

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
EPOCHS, BATCH = 9.9, 1024
MOMENTUM, NORM_MOMENTUM = 0.85, 0.6
RATE = 11.5 / (1 + 1 / (1 - MOMENTUM))  # of a mean loss
DECAY = 0.0153 / (1 + 1 / (1 - MOMENTUM))  # of a weight at each step, at the highest rate
BIAS_FACTOR = 64
AVERAGE_FROM, AVERAGE_EVERY, AVERAGE_BASE = 3, 5, 0.95
WHITENING_BIAS_EPOCHS = 3
PADDING = 2


class Norm(nn.BatchNorm2d):
    def __init__(self, channels):
        super().__init__(channels, eps=1e-12, momentum=1 - NORM_MOMENTUM)
        self.weight.requires_grad_(False)


class Block(nn.Sequential):
    def __init__(self, channels, filters):
        first = nn.Conv2d(channels, filters, 3, padding="same", bias=False)
        second = nn.Conv2d(filters, filters, 3, padding="same", bias=False)
        for conv in (first, second):
            nn.init.dirac_(conv.weight.data[: conv.in_channels])
        super().__init__(first, nn.MaxPool2d(2), Norm(filters), nn.GELU(), second, Norm(filters), nn.GELU())


class Network(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad_(False)
        nn.init.zeros_(self.whiten.bias)
        self.blocks = nn.Sequential(nn.GELU(), Block(24, 64), Block(64, 256), Block(256, 256), nn.MaxPool2d(3))
        self.head = nn.Linear(256, num_classes, bias=False)

    def forward(self, x):
        return self.head(self.blocks(self.whiten(x)).flatten(1)) / 9

    @torch.no_grad()
    def learn_whitening(self, x, epsilon=5e-4):
        """Take the first kernel from normalised images (N, 3, H, W)."""
        patches = functional.unfold(x, 2).transpose(1, 2).reshape(-1, 12)
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        directions = (vectors / (values + epsilon).sqrt()).T.flip(0).reshape(12, 3, 2, 2)
        self.whiten.weight.copy_(torch.cat([directions, -directions]))


class Images:
    """Training images uint8 (N, H, W, C): shuffled, each mirrored in every second epoch, and shifted by 2 pixels."""

    def __init__(self, images, labels):
        flipped = torch.rand(len(images), device=DEVICE) < 0.5
        images = torch.where(flipped[:, None, None, None], images.flip(2), images)
        first = functional.pad(images.permute(0, 3, 1, 2).float(), (PADDING,) * 4, "reflect")
        self.padded = first.byte().permute(0, 2, 3, 1).contiguous()
        self.labels = labels

    def epoch(self, number, batch_size):
        """Yield the whole batches of an epoch: images uint8 (b, H, W, C) and labels."""
        order = torch.randperm(len(self.labels), device=DEVICE)
        for rows in order[: len(order) // batch_size * batch_size].split(batch_size):
            yield self.shifted(rows, number % 2), self.labels[rows]

    def shifted(self, images, mirrored):
        _, side, _, channels = self.padded.shape
        size = side - 2 * PADDING
        down, right = torch.randint(0, 2 * PADDING + 1, (2, len(images), 1), device=DEVICE)
        places = torch.arange(size, device=DEVICE)
        columns = places + right
        columns = side - 1 - columns if mirrored else columns
        index = ((images[:, None] * side + places + down)[:, :, None]) * side + columns[:, None]
        return self.padded.view(-1, channels).index_select(0, index.view(-1)).view(*index.shape, channels)


def triangle(steps, start=0.2, peak=0.23, final=0.07):
    return np.interp(np.arange(steps + 1), [0, int(peak * steps), steps], [start, 1.0, final])


class Training:
    """A network that learns from images uint8 (N, H, W, C) and labels, step by step.

    Args:
        steps: Of the whole training, for its rates.
    """

    def __init__(self, images, labels, batch_size, precision, steps):
        self.images = Images(images, labels)
        self.batch_size, self.steps = batch_size, steps
        self.precision = precision
        self.mean, self.std = (255 * torch.tensor(values, device=DEVICE).view(3, 1, 1) for values in (MEAN, STD))
        self.model = Network().to(DEVICE, memory_format=torch.channels_last)
        self.model.learn_whitening(self.normalised(images[torch.randperm(len(images))[:5000]]))
        biases = [value for name, value in self.model.named_parameters() if is_norm_bias(self.model, name)]
        known = {id(bias) for bias in biases}
        others = [value for value in self.model.parameters() if value.requires_grad and id(value) not in known]
        groups = [
            {"params": biases, "lr": RATE * BIAS_FACTOR, "weight_decay": DECAY / (RATE * BIAS_FACTOR)},
            {"params": others, "lr": RATE, "weight_decay": DECAY / RATE},
        ]
        self.optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True, fused=True)
        rates = triangle(steps)
        self.scheduler = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda step: rates[min(step, steps)])
        self.batches = self.endless()
        self.step_number, self.average = 0, None

    def endless(self):
        self.epoch = 0
        while True:
            yield from self.images.epoch(self.epoch, self.batch_size)
            self.epoch += 1

    def normalised(self, pixels):
        return (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def logits(self, x):
        with torch.autocast(DEVICE, torch.bfloat16, enabled=self.precision == "mixed_bfloat16"):
            return self.model(x).float()

    def step(self):
        pixels, labels = next(self.batches)
        self.model.train()
        self.model.whiten.bias.requires_grad_(self.epoch < WHITENING_BIAS_EPOCHS)
        self.optimizer.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(self.logits(self.normalised(pixels)), labels, label_smoothing=0.2)
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        self.step_number += 1
        if self.epoch >= AVERAGE_FROM and self.step_number % AVERAGE_EVERY == 0:
            self.look_ahead(AVERAGE_BASE**AVERAGE_EVERY * (self.step_number / self.steps) ** 3)
        return loss.detach()

    @torch.no_grad()
    def look_ahead(self, decay):
        """Move the average towards the weights, and the weights onto it."""
        values = [value for value in self.model.state_dict().values() if value.is_floating_point()]
        if self.average is None:
            self.average = [value.clone() for value in values]
            return
        torch._foreach_lerp_(self.average, values, 1 - decay)
        torch._foreach_copy_(values, self.average)

    @torch.no_grad()
    def accuracies(self, images, labels):
        """Return the accuracy of one view of each image, and that of six: mirrored, and shifted by a pixel."""
        self.model.eval()
        right = np.zeros(2)
        for pixels, wanted in zip(images.split(1000), labels.split(1000), strict=True):
            x = self.normalised(pixels)
            padded = functional.pad(x, (1,) * 4, "reflect")
            side = x.shape[-1]
            shifted = [padded[:, :, place : place + side, place : place + side] for place in (0, 2)]
            one, both, *others = (self.logits(each) for each in (x, x.flip(3), *shifted, *[s.flip(3) for s in shifted]))
            six = (one + both) / 4 + sum(others) / 8
            right += [(each.argmax(1) == wanted).sum().item() for each in (one, six)]
        return right / len(labels)


def is_norm_bias(model, name):
    """Whether a parameter is the bias of a batch norm."""
    place, _, kind = name.rpartition(".")
    return kind == "bias" and isinstance(model.get_submodule(place), Norm)


def main():
    options = options_of(__doc__, epochs=EPOCHS, batch_size=BATCH, precision="mixed_bfloat16")
    (images, labels), held_out = images_of(options)
    torch.manual_seed(options.seed)
    start = time.perf_counter()
    steps = math.ceil(len(images) // options.batch_size * options.epochs)
    training = Training(images, labels, options.batch_size, options.precision, steps)
    for step in range(1, steps + 1):
        loss = training.step()
        if step % 10 == 0 or step == steps:
            print(f"step {step} of {steps}: loss {loss:.4f}, {time.perf_counter() - start:.1f} s", flush=True)
    if training.average is not None:
        training.look_ahead(1.0)
    seconds = time.perf_counter() - start
    one, six = training.accuracies(*held_out)
    print(f"{options.on}: {one:.2%} of {len(held_out[1])}, {six:.2%} of six views; trained in {seconds:.1f} s")


if __name__ == "__main__":
    main()
