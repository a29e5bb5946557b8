"""The article's training in plain PyTorch, as an expert would write it: what `cifar10_simple_cnn` is measured by.

python benchmarks/plain_article.py cifar10.tar.xz --on test     (its accuracy, and the seconds that its training takes)
"""

import time

import torch
from _plain import DEVICE, images_of, options_of
from plain_torch import MEAN, STD, SimpleCNN, augment
from torch.nn import functional

EPOCHS, BATCH = 50, 128


class Training:
    """The article's network, its optimizer and its schedule, on images uint8 (N, H, W, C) and labels."""

    def __init__(self, images, labels, epochs, batch_size, precision):
        self.images, self.labels = images, labels
        self.batch_size, self.precision = batch_size, precision
        self.mean, self.std = (255 * torch.tensor(values, device=DEVICE).view(3, 1, 1) for values in (MEAN, STD))
        self.model = SimpleCNN().to(DEVICE, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=epochs)

    def logits(self, pixels):
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) / self.std
        with torch.autocast(DEVICE, torch.bfloat16, enabled=self.precision == "mixed_bfloat16"):
            return self.model(x).float()

    def epoch(self):
        """Train on each image once; return the mean loss."""
        self.model.train()
        total = 0.0
        for rows in torch.randperm(len(self.images), device=DEVICE).split(self.batch_size):
            self.optimizer.zero_grad(set_to_none=True)
            loss = functional.cross_entropy(self.logits(augment(self.images[rows])), self.labels[rows])
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(rows)
        self.scheduler.step()
        return float(total) / len(self.images)

    @torch.no_grad()
    def accuracy(self, images, labels):
        self.model.eval()
        batches = zip(images.split(256), labels.split(256), strict=True)
        return sum((self.logits(pixels).argmax(1) == wanted).sum().item() for pixels, wanted in batches) / len(labels)


def main():
    options = options_of(__doc__, epochs=EPOCHS, batch_size=BATCH, precision="float32")
    train, held_out = images_of(options)
    torch.manual_seed(options.seed)
    start = time.perf_counter()
    training = Training(*train, options.epochs, options.batch_size, options.precision)
    for epoch in range(1, options.epochs + 1):
        print(f"epoch {epoch}: loss {training.epoch():.4f}, {time.perf_counter() - start:.1f} s", flush=True)
    seconds = time.perf_counter() - start
    accuracy = training.accuracy(*held_out)
    print(f"{options.on}: {accuracy:.2%} of {len(held_out[1])}; trained in {seconds:.1f} s")


if __name__ == "__main__":
    main()
