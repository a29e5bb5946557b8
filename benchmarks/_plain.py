"""What the plain trainings share: their options, where they compute, and the images as tensors there."""

import argparse

import torch

# float32 is float32, as in kcnn.
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def options_of(description, *, epochs, batch_size, precision):
    """Return the options of the command line; the keywords are defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="CIFAR-10 as kcnn reads it: a folder or an archive")
    parser.add_argument("--on", choices=("validation", "test"), default="validation")
    parser.add_argument("--limit", type=int, help="so many training images")
    parser.add_argument("--epochs", type=type(epochs), default=epochs)
    parser.add_argument("--batch-size", type=int, default=batch_size)
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16"), default=precision)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def images_of(options):
    """Return ((images, labels) to train on, (images, labels) to measure on), uint8 (N, H, W, C) and int64 (N,).

    Measured on validation images, those are a tenth of the training images; else all are trained on.
    """
    from kcnn import data, recipe  # here, since a plain contender of steps.py is to import nothing of kcnn

    settings = [f"data.validation={0.1 if options.on == 'validation' else 0}"]
    settings += [f"data.limit={options.limit}"] if options.limit else []
    config = recipe.load("cifar10_resnet20", settings, data=options.data).data
    found = data.load(config, 0, splits=("train", options.on))
    return [
        (torch.from_numpy(split.images).to(DEVICE), torch.from_numpy(split.labels).long().to(DEVICE))
        for split in (found.train, getattr(found, options.on))
    ]
