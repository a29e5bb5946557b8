"""Parameter counts: golden, as published, and counted again by hand.

KCNN_REWRITE_GOLDEN=1 rewrites golden.json; review the difference.
"""

import json
import math
import os
from pathlib import Path

import pytest

from kcnn.registry import MODELS

GOLDEN = Path(__file__).with_name("golden.json")


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def test_counts_are_golden(build):
    counts = {
        name: {"trainable": trainable(build(name)), "total": build(name).count_params()} for name in MODELS.names()
    }
    if os.environ.get("KCNN_REWRITE_GOLDEN") == "1":
        GOLDEN.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    assert counts == json.loads(GOLDEN.read_text(encoding="utf-8"))


# --- By hand: what the papers' tables say, in arithmetic that knows nothing of the builders ---


def conv(inputs, outputs, size=3):
    return size * size * inputs * outputs


def norm(channels):
    return 2 * channels


def cifar_resnet(depth):
    n = (depth - 2) // 6
    same = [2 * (conv(width, width) + norm(width)) for width in (16, 32, 64)]
    wider = [conv(width // 2, width) + conv(width, width) + 2 * norm(width) for width in (32, 64)]
    return conv(3, 16) + norm(16) + n * same[0] + (n - 1) * sum(same[1:]) + sum(wider) + 64 * 10 + 10


def wide_resnet(depth, k):
    n = (depth - 4) // 6
    count = conv(3, 16)
    for before, width in [(16, 16 * k), (16 * k, 32 * k), (32 * k, 64 * k)]:
        count += norm(before) + conv(before, width) + norm(width) + conv(width, width) + conv(before, width, 1)
        count += (n - 1) * 2 * (norm(width) + conv(width, width))
    return count + norm(64 * k) + 64 * k * 10 + 10


def resnet(blocks, stem_size, classes):
    count = conv(3, 64, stem_size) + norm(64) + blocks[0] * 2 * (conv(64, 64) + norm(64))
    for width, n in zip((128, 256, 512), blocks[1:], strict=True):
        count += conv(width // 2, width) + conv(width // 2, width, 1) + 2 * norm(width)
        count += conv(width, width) + norm(width) + (n - 1) * 2 * (conv(width, width) + norm(width))
    return count + 512 * classes + classes


@pytest.mark.parametrize(
    ("name", "published", "by_hand"),
    [
        ("simple_cnn", 1_194_282, None),
        ("resnet20", 269_722, cifar_resnet(20)),
        ("resnet32", 464_154, cifar_resnet(32)),
        ("resnet44", 658_586, cifar_resnet(44)),
        ("resnet56", 853_018, cifar_resnet(56)),
        ("resnet110", 1_727_962, cifar_resnet(110)),
        ("wide_resnet16_8", 10_961_370, wide_resnet(16, 8)),
        ("wide_resnet28_10", 36_479_194, wide_resnet(28, 10)),
        ("resnet18", 11_173_962, resnet((2, 2, 2, 2), 3, 10)),
        ("resnet34", 21_282_122, resnet((3, 4, 6, 3), 3, 10)),
    ],
)
def test_counts_are_as_published(name, published, by_hand, build):
    assert trainable(build(name)) == published
    assert by_hand in (None, published)


@pytest.mark.parametrize(
    ("name", "torchvision", "blocks"),
    [("resnet18", 11_689_512, (2, 2, 2, 2)), ("resnet34", 21_797_672, (3, 4, 6, 3))],
)
def test_large_stem_counts_as_torchvision(name, torchvision, blocks):
    model = MODELS.get(name)((224, 224, 3), 1000)
    assert trainable(model) == torchvision == resnet(blocks, 7, 1000)
    assert model.get_layer("features").output.shape == (None, 7, 7, 512)


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_option_a_shortcuts_cost_nothing(depth, build):
    assert build(f"resnet{depth}").count_params() == build(f"plain{depth}").count_params()
