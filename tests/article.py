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


def train(model, batches, epochs):
    """The article's loop: Adam with weight decay, cosine annealing once an epoch. Returns losses and rates."""
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    losses, rates = [], []
    for epoch in range(epochs):
        model.train()
        for images, labels in batches[epoch]:
            optimizer.zero_grad()
            loss = criterion(model(normalise(images)), torch.from_numpy(labels).long())
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    return losses, rates


def main(source, target):
    given = np.load(source)
    torch.set_num_threads(2)
    model = without_dropout(SimpleCNN())
    load_from_keras(model, [given[f"weight{index}"] for index in range(int(given["weights"]))])
    model.eval()
    with torch.no_grad():
        logits = model(normalise(given["images"][0])).numpy()
    epochs = int(given["epochs"])
    steps = len(given["images"]) // epochs
    pairs = list(zip(given["images"], given["labels"], strict=True))
    losses, rates = train(model, [pairs[epoch * steps :][:steps] for epoch in range(epochs)], epochs)
    np.savez(target, logits=logits, losses=losses, rates=rates)


if __name__ == "__main__":
    main(*sys.argv[1:])
