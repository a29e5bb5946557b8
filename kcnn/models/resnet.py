"""ResNet-18 and ResNet-34 of He et al. (2015), with a stem for large images and one for small ones."""

from typing import Literal

import keras
from keras import layers

from kcnn.models._blocks import conv, image_shape, logits, norm, pixels, relu

WIDTHS = (64, 128, 256, 512)
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
SMALL_IMAGE = 128  # pixels; below this "auto" takes the small stem


def resnet18(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet18",
):
    """ResNet-18 of He et al. (2015), table 1: 11.2 M parameters.

    `stem="large"` is the paper's: 7x7 with stride 2, then a max pool. `"small"` is one 3x3 convolution with
    stride 1, so that a CIFAR image keeps its 32x32 pixels. `"auto"` takes it below 128 pixels.
    """
    return _resnet(input_shape, num_classes, BLOCKS["resnet18"], stem=stem, mean=mean, std=std, name=name)


def resnet34(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet34",
):
    """ResNet-34 of He et al. (2015), table 1: 21.3 M parameters. `stem` as in `resnet18`."""
    return _resnet(input_shape, num_classes, BLOCKS["resnet34"], stem=stem, mean=mean, std=std, name=name)


def _resnet(input_shape, num_classes, stage_blocks, *, stem, mean, std, name):
    if stem not in ("auto", "small", "large"):
        raise ValueError(f"`stem` must be 'auto', 'small' or 'large'. Received: stem={stem!r}")
    if stem == "auto":
        height, width, _ = image_shape(input_shape)
        stem = "small" if min(height, width) < SMALL_IMAGE else "large"
    downsampling = 8 if stem == "small" else 32
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, downsampling=downsampling)

    # --- Stem ---
    x = conv(x, WIDTHS[0], name="stem_conv") if stem == "small" else conv(x, WIDTHS[0], 7, strides=2, name="stem_conv")
    x = norm(x, name="stem_norm")
    x = relu(x, name="stem_relu")
    if stem == "large":
        # Padding by hand, with zeros: after the ReLU no maximum is below them.
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)

    # --- Stages ---
    for stage, (filters, blocks) in enumerate(zip(WIDTHS, stage_blocks, strict=True), start=1):
        for block in range(1, blocks + 1):
            place = f"stage{stage}_block{block}"
            last = (stage, block) == (len(WIDTHS), blocks)
            strides = 2 if stage > 1 and block == 1 else 1
            x = _block(x, filters, strides=strides, name=place, output="features" if last else f"{place}_relu2")

    # --- Classifier ---
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    outputs = logits(x, num_classes, initialization="he_normal")
    return keras.Model(inputs, outputs, name=name)


def _block(x, filters, *, strides, name, output):
    """Two 3x3 convolutions; the shortcut is projected where the shape changes (option B)."""
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = conv(shortcut, filters, 1, strides=strides, name=f"{name}_shortcut_conv")
        shortcut = norm(shortcut, name=f"{name}_shortcut_norm")
    x = conv(x, filters, strides=strides, name=f"{name}_conv1")
    x = norm(x, name=f"{name}_norm1")
    x = relu(x, name=f"{name}_relu1")
    x = conv(x, filters, name=f"{name}_conv2")
    x = norm(x, name=f"{name}_norm2")
    x = layers.Add(name=f"{name}_add")([x, shortcut])
    return relu(x, name=output)
