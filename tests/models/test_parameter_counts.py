"""Parameter counts: golden, as published, and counted again by hand.

KCNN_REWRITE_GOLDEN=1 rewrites golden.json; review the difference.
"""

import json
import math
import os
from pathlib import Path

import pytest
from families import outline

from kcnn.registry import MODELS

GOLDEN = Path(__file__).with_name("golden.json")


def trainable(model):
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


@pytest.mark.parametrize("name", MODELS.names())
def test_counts_are_golden(name):
    network = outline(name)
    counted = {"trainable": trainable(network), "total": network.count_params()}
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    if os.environ.get("KCNN_REWRITE_GOLDEN") == "1":
        golden |= {name: counted}
        ordered = {each: golden[each] for each in MODELS.names() if each in golden}
        GOLDEN.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    assert counted == golden.get(name), "KCNN_REWRITE_GOLDEN=1 writes what was counted"


def test_each_model_is_counted():
    assert list(json.loads(GOLDEN.read_text(encoding="utf-8"))) == MODELS.names()


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


def airbench(widths, depth=2):
    """All that is trained: of the whitening its biases alone, and no scale of a norm."""
    pairs = zip((24, *widths), widths, strict=False)
    return 24 + sum(conv(b, w) + (depth - 1) * conv(w, w) + depth * w for b, w in pairs) + widths[-1] * 10


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
        ("airbench94", 1_971_352, airbench((64, 256, 256))),
        ("airbench96", 12_717_464, airbench((128, 512, 512), depth=3)),
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
    model = outline(name, (224, 224, 3), 1000)
    assert trainable(model) == torchvision == resnet(blocks, 7, 1000)
    assert model.get_layer("features").output.shape == (None, 7, 7, 512)


# --- For ImageNet: 224x224 pixels, 1000 classes ---

# What torchvision's documentation of its pretrained weights says ("num_params"); PyTorch counts no statistics.
TORCHVISION = [
    ("alexnet", {}, 61_100_840),
    ("vgg11", {}, 132_863_336),
    ("vgg11", {"batch_norm": True}, 132_868_840),
    ("vgg13", {}, 133_047_848),
    ("vgg13", {"batch_norm": True}, 133_053_736),
    ("vgg16", {}, 138_357_544),
    ("vgg16", {"batch_norm": True}, 138_365_992),
    ("vgg19", {}, 143_667_240),
    ("vgg19", {"batch_norm": True}, 143_678_248),
    ("googlenet", {}, 6_624_904),
    ("googlenet", {"auxiliary": True}, 13_004_888),
    ("efficientnet_b0", {}, 5_288_548),
    ("efficientnet_b1", {}, 7_794_184),
    ("efficientnet_b2", {}, 9_109_994),
    ("efficientnet_b3", {}, 12_233_232),
    ("efficientnet_b4", {}, 19_341_616),
    ("efficientnet_b5", {}, 30_389_784),
    ("efficientnet_b6", {}, 43_040_704),
    ("efficientnet_b7", {}, 66_347_960),
    ("efficientnet_v2_s", {}, 21_458_488),
    ("efficientnet_v2_m", {}, 54_139_356),
    ("efficientnet_v2_l", {}, 118_515_272),
    ("convnext_tiny", {}, 28_589_128),
    ("convnext_small", {}, 50_223_688),
    ("convnext_base", {}, 88_591_464),
    ("convnext_large", {}, 197_767_336),
]
# Caffe's reference models: the network of 2012, and GoogLeNet with its 5x5 convolutions and no batch norm.
CAFFE = [
    ("alexnet", {"form": "two_towers"}, 60_965_224),
    ("googlenet", {"form": "paper"}, 6_998_552),
    ("googlenet", {"form": "paper", "auxiliary": True}, 13_378_280),
]


@pytest.mark.parametrize(("name", "options", "published"), TORCHVISION + CAFFE)
def test_counts_for_imagenet_are_as_published(name, options, published):
    assert trainable(outline(name, (224, 224, 3), 1000, **options)) == published


@pytest.mark.parametrize(
    ("name", "torchvision", "stages"),
    [
        ("resnet50", 25_557_032, (3, 4, 6, 3)),
        ("resnet101", 44_549_160, (3, 4, 23, 3)),
        ("resnet152", 60_192_808, (3, 8, 36, 3)),
    ],
)
def test_bottlenecks_count_as_torchvision_but_for_biases(name, torchvision, stages):
    """keras.applications gives each convolution a bias, which the norm behind it takes away."""
    biases = 64 + sum(n * 6 * width + 4 * width for n, width in zip(stages, (64, 128, 256, 512), strict=True))
    model = outline(name, (224, 224, 3), 1000)
    assert trainable(model) == torchvision + biases
    found = [layer for layer in model.layers if layer.name.endswith(("conv", "conv1", "conv2", "conv3"))]
    assert sum(layer.filters for layer in found) == biases


# keras.io/api/applications counts in millions, statistics too.
@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("resnet50", 25.6),
        ("resnet101", 44.7),
        ("resnet152", 60.4),
        ("resnet50_v2", 25.6),
        ("resnet101_v2", 44.7),
        ("resnet152_v2", 60.4),
        ("efficientnet_b0", 5.3),
        ("efficientnet_b7", 66.7),
        ("efficientnet_v2_b0", 7.2),
        ("efficientnet_v2_b1", 8.2),
        ("efficientnet_v2_b2", 10.2),
        ("efficientnet_v2_b3", 14.5),
        ("convnext_xlarge", 350.2),
    ],
)
def test_counts_with_statistics_are_those_of_keras(name, millions):
    assert round(outline(name, (224, 224, 3), 1000).count_params() / 1e6, 1) == pytest.approx(millions, abs=0.1)


@pytest.mark.parametrize("depth", [20, 56, 110])
def test_option_a_shortcuts_cost_nothing(depth, build):
    assert build(f"resnet{depth}").count_params() == build(f"plain{depth}").count_params()
