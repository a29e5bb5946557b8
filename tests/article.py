"""The teaching article's network and training, as they stand there: plain PyTorch, no Keras, no kcnn.

Run as a script, it trains on batches that it is given: python article.py INPUT.npz OUTPUT.npz
"""

import sys

import numpy as np
import torch
from torch import nn

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


class SimpleCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            *[nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU()],
            *[
                nn.Conv2d(32, 32, 3, padding=1),
                nn.BatchNorm2d(32),
                nn.ReLU(),
                nn.MaxPool2d(2, 2),
                nn.Dropout2d(0.25),
            ],
            *[nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU()],
            *[
                nn.Conv2d(64, 64, 3, padding=1),
                nn.BatchNorm2d(64),
                nn.ReLU(),
                nn.MaxPool2d(2, 2),
                nn.Dropout2d(0.25),
            ],
            *[nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.MaxPool2d(2, 2)],
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(128 * 4 * 4, 512), nn.ReLU(), nn.Dropout(0.5), nn.Linear(512, 10)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return model


def load_from_keras(model, arrays):
    """Give the modules, in their order, the weights that Keras holds for the layers, in theirs."""
    arrays = iter(arrays)
    with torch.no_grad():
        for module in model.modules():
            if not isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear):
                continue
            weight, bias = next(arrays), next(arrays)
            if isinstance(module, nn.Conv2d):
                weight = weight.transpose(3, 2, 0, 1)
            elif isinstance(module, nn.Linear) and len(weight) == 128 * 4 * 4:
                # Keras flattened height, width, channel; PyTorch channel, height, width.
                weight = weight.reshape(4, 4, 128, -1).transpose(3, 2, 0, 1).reshape(-1, 128 * 4 * 4)
            elif isinstance(module, nn.Linear):
                weight = weight.T
            module.weight.copy_(torch.from_numpy(weight.copy()))
            module.bias.copy_(torch.from_numpy(bias))
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.copy_(torch.from_numpy(next(arrays)))
                module.running_var.copy_(torch.from_numpy(next(arrays)))


def normalise(pixels):
    return torch.from_numpy(((pixels / 255 - MEAN) / STD).astype("float32").transpose(0, 3, 1, 2).copy())


def training(model, epochs):
    """Return what the article's loop is made of: criterion, Adam with weight decay, cosine annealing."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    return nn.CrossEntropyLoss(), optimizer, scheduler


def train(model, batches, epochs, before_step=lambda step: None, after_step=lambda step: None):
    """The article's loop; returns the losses and the learning rates."""
    criterion, optimizer, scheduler = training(model, epochs)
    losses, rates = [], []
    for _ in range(epochs):
        model.train()
        for _ in range(len(batches) // epochs):
            step = len(losses)
            before_step(step)
            images, labels = batches[step]
            optimizer.zero_grad()
            loss = criterion(model(normalise(images)), torch.from_numpy(labels).long())
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            rates.append(optimizer.param_groups[0]["lr"])
            after_step(step)
        scheduler.step()
    return losses, rates


def parameters(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def follow(model, batches, epochs, states):
    """Take each step from the weights that Keras had before it; return losses, and how far the updates differ.

    `states[k]` holds Keras's weights before step k. Adam's averages go on from step to step, as they do in Keras.
    The difference of an update is relative to the norm of Keras's.
    """
    own, differences = [], []

    def before_step(step):
        load_from_keras(model, states[step])
        own.append(parameters(model))

    def after_step(step):
        update = parameters(model) - own[step]
        load_from_keras(model, states[step + 1])
        expected = parameters(model) - own[step]
        differences.append(float((update - expected).norm() / expected.norm()))

    losses, _ = train(model, batches, epochs, before_step, after_step)
    return losses, differences


def main(source, target):
    given = np.load(source)
    batches = list(zip(given["images"], given["labels"], strict=True))
    epochs, count = int(given["epochs"]), int(given["weights"])
    stacked = [given[f"weight{index}"] for index in range(count)]
    states = [[weight[step] for weight in stacked] for step in range(len(batches) + 1)]
    model = without_dropout(SimpleCNN())
    load_from_keras(model, states[0])
    model.eval()
    with torch.no_grad():
        logits = model(normalise(given["images"][0])).numpy()
    losses, rates = train(model, batches, epochs)
    same, updates = follow(without_dropout(SimpleCNN()), batches, epochs, states)
    np.savez(target, logits=logits, losses=losses, rates=rates, same=same, updates=updates)


if __name__ == "__main__":
    main(*sys.argv[1:])
