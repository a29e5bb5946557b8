"""Plain PyTorch as an expert would write it: channels last, autocast, the fused optimizer, one gather."""

import itertools
import time

import torch
from _plain import DEVICE
from torch import nn
from torch.nn import functional

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
PADDING = 4


class SimpleCNN(nn.Module):
    """The article's network."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.features = nn.Sequential(
            *self.block(3, 32),
            *self.block(32, 32),
            *[nn.MaxPool2d(2), nn.Dropout2d(0.25)],
            *self.block(32, 64),
            *self.block(64, 64),
            *[nn.MaxPool2d(2), nn.Dropout2d(0.25)],
            *self.block(64, 128),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            *[nn.Flatten(), nn.Linear(2048, 512), nn.ReLU(inplace=True), nn.Dropout(0.5), nn.Linear(512, num_classes)]
        )

    @staticmethod
    def block(channels, filters):
        return nn.Conv2d(channels, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(inplace=True)

    def forward(self, x):
        return self.classifier(self.features(x))


class Residual(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.stride, self.more = stride, filters - channels

    def forward(self, x):
        shortcut = x
        if self.more:  # option A: every second pixel, and zeros for the new channels
            shortcut = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        x = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(self.norm2(self.conv2(x)) + shortcut, inplace=True)


class ResNet20(nn.Module):
    """ResNet-20 of He et al. (2015), section 4.2."""

    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        widths = [16] * 4 + [32] * 3 + [64] * 3
        pairs = itertools.pairwise(widths)
        self.blocks = nn.Sequential(*[Residual(before, after, 2 if after > before else 1) for before, after in pairs])
        self.logits = nn.Linear(64, num_classes)

    def forward(self, x):
        return self.logits(self.blocks(self.stem(x)).mean((2, 3)))


def augment(images):
    """Flip and crop each image of a uint8 batch (B, H, W, C) on its own."""
    batch, height, width, channels = images.shape
    padded = functional.pad(images, (0, 0, PADDING, PADDING, PADDING, PADDING))
    on = {"device": images.device}
    down, right = torch.randint(0, 2 * PADDING + 1, (2, batch, 1), **on)
    columns = torch.arange(width, **on).expand(batch, width)
    columns = torch.where(torch.rand(batch, 1, **on) < 0.5, width - 1 - columns, columns) + right
    rows = torch.arange(height, **on) + down
    index = (torch.arange(batch, **on)[:, None] * padded.shape[1] + rows)[:, :, None] * padded.shape[2] + columns[
        :, None
    ]
    return padded.view(-1, channels).index_select(0, index.view(-1)).view(batch, height, width, channels)


def trainer(network, precision, images, labels, batch_size, compiled=False):
    """Return a function that trains on the next `steps` batches and returns their mean loss, and the seconds."""
    images, labels = torch.from_numpy(images).to(DEVICE), torch.from_numpy(labels).long().to(DEVICE)
    model = {"simple_cnn": SimpleCNN, "resnet20": ResNet20}[network]().to(DEVICE, memory_format=torch.channels_last)
    if network == "simple_cnn":
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4, fused=True
        )
    mean = torch.tensor(MEAN, device=DEVICE).view(3, 1, 1) * 255
    std = torch.tensor(STD, device=DEVICE).view(3, 1, 1) * 255
    state = {"order": torch.empty(0, dtype=torch.int64), "loss": 0.0}

    def forward(pixels, targets):
        x = (pixels.permute(0, 3, 1, 2).float() - mean) / std
        with torch.autocast(DEVICE, torch.bfloat16, enabled=precision == "mixed_bfloat16"):
            logits = model(x)
        return functional.cross_entropy(logits.float(), targets), logits

    if compiled:
        forward = torch.compile(forward)

    def train(steps):
        start = time.perf_counter()
        model.train()
        total = correct = 0.0
        for _ in range(steps):
            if len(state["order"]) < batch_size:
                state["order"] = torch.randperm(len(images), device=DEVICE)
            rows, state["order"] = state["order"][:batch_size], state["order"][batch_size:]
            pixels, targets = augment(images[rows]), labels[rows]
            optimizer.zero_grad(set_to_none=True)
            loss, logits = forward(pixels, targets)
            loss.backward()
            optimizer.step()
            total = total + loss.detach()
            correct = correct + (logits.detach().argmax(1) == targets).sum()
        mean_loss = float(total) / steps
        return mean_loss, time.perf_counter() - start

    return train
