"""AlexNet and GoogLeNet in plain PyTorch, by hand from the papers, with the weights that Keras holds.

Run as a program it reads a network's name, options, weights and images from an .npz file and writes the logits.
"""

import json
import sys

import numpy as np
import torch
from torch.nn import functional


class Weights:
    """Layers by their Keras names; images are (B, C, H, W)."""

    def __init__(self, arrays):
        self.arrays = arrays

    def of(self, name):
        found = []
        while f"{name}/{len(found)}" in self.arrays:
            found.append(torch.from_numpy(self.arrays[f"{name}/{len(found)}"]))
        return found

    def conv(self, x, name, **options):
        kernel, *bias = self.of(name)
        return functional.conv2d(x, kernel.permute(3, 2, 0, 1), *bias, **options)

    def norm(self, x, name, epsilon):
        scale, offset, mean, variance = self.of(name)
        return functional.batch_norm(x, mean, variance, scale, offset, eps=epsilon)

    def dense(self, x, name):
        kernel, bias = self.of(name)
        if x.ndim == 4:  # Keras flattened height, width, channel
            x = x.permute(0, 2, 3, 1).flatten(1)
        return x @ kernel + bias


def response(x):
    # PyTorch divides alpha by the number of neighbours.
    return functional.local_response_norm(x, 5, alpha=5 * 1e-4, beta=0.75, k=2.0)


def alexnet(w, x, form="one_tower", stem="large"):
    groups = 2 if form == "two_towers" else 1
    respond = response if form == "two_towers" else lambda x: x
    x = functional.relu(w.conv(x, "stem_conv", stride=4 if stem == "large" else 1, padding=2))
    x = functional.max_pool2d(respond(x), 3, 2)
    x = functional.relu(w.conv(x, "block2_conv", padding=2, groups=groups))
    x = functional.max_pool2d(respond(x), 3, 2)
    x = functional.relu(w.conv(x, "block3_conv", padding=1))
    x = functional.relu(w.conv(x, "block4_conv", padding=1, groups=groups))
    x = functional.relu(w.conv(x, "block5_conv", padding=1, groups=groups))
    x = functional.max_pool2d(x, 3, 2)
    x = functional.relu(w.dense(x, "head_dense1"))
    x = functional.relu(w.dense(x, "head_dense2"))
    return [w.dense(x, "logits")]


def googlenet(w, x, form="batch_norm", stem="large", auxiliary=False):
    normed = form == "batch_norm"
    respond = response if not normed else lambda x: x

    def block(x, name, index="", padding=0, **options):
        x = w.conv(x, f"{name}_conv{index}", padding=padding, **options)
        return functional.relu(w.norm(x, f"{name}_norm{index}", 1e-3) if normed else x)

    def inception(x, name):
        three = block(block(x, f"{name}_three", 1), f"{name}_three", 2, padding=1)
        five = block(block(x, f"{name}_five", 1), f"{name}_five", 2, padding=1 if normed else 2)
        pool = block(functional.max_pool2d(x, 3, 1, padding=1), f"{name}_pool")
        return torch.cat([block(x, f"{name}_point"), three, five, pool], 1)

    def head(x, name):
        x = block(functional.avg_pool2d(x, min(5, *x.shape[2:]), 3), name)
        return w.dense(functional.relu(w.dense(x, f"{name}_dense2")), f"{name}_logits")

    if stem == "large":
        x = functional.max_pool2d(block(x, "stem", 1, padding=3, stride=2), 3, 2, ceil_mode=True)
    else:
        x = block(x, "stem", 1, padding=1)
    x = block(block(respond(x), "stem", 2), "stem", 3, padding=1)
    x = functional.max_pool2d(respond(x), 3, 2, ceil_mode=True)
    heads = []
    for stage, count in ((3, 2), (4, 5), (5, 2)):
        for index in range(1, count + 1):
            x = inception(x, f"stage{stage}_block{index}")
            if auxiliary and (stage, index) in ((4, 1), (4, 4)):
                heads.append(head(x, f"auxiliary{len(heads) + 1}"))
        if stage < 5:
            size = 2 if normed and stage == 4 else 3
            x = functional.max_pool2d(x, size, 2, ceil_mode=True)
    return [w.dense(x.mean((2, 3)), "logits"), *heads]


def main(source, target):
    given = dict(np.load(source))
    name, options = json.loads(str(given.pop("network")))
    x = torch.from_numpy(given.pop("images").transpose(0, 3, 1, 2).copy())
    outputs = {"alexnet": alexnet, "googlenet": googlenet}[name](Weights(given), x, **options)
    np.savez(target, *[output.numpy() for output in outputs])


if __name__ == "__main__":
    with torch.no_grad():
        main(*sys.argv[1:])
