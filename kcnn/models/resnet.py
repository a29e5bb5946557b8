"""The ImageNet residual networks of He et al. (2015, 2016), with a stem for large images and one for small ones.

18 and 34 layers are written here; 50, 101 and 152, whose blocks have a bottleneck, are those of keras.applications.
"""

from typing import Literal

import keras
from keras import initializers, layers

from kcnn.models._applications import adopt
from kcnn.models._blocks import conv, logits, norm, pixels, relu, small_stem

WIDTHS = (64, 128, 256, 512)
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
PLACES = (
    (r"^(conv|pool)1_pad$", r"stem_\1_pad"),
    (r"^(conv|pool)1_", "stem_"),
    (r"^conv(\d)_block(\d+)_", lambda found: f"stage{int(found[1]) - 1}_block{found[2]}_"),
    (r"_0_", "_shortcut_"),
    (r"_(\d)_(\w+)$", r"_\2\1"),
    (r"_pad2$", "_conv2_pad"),
    (r"_out_pool$", "_shortcut_pool"),
    (r"bn(\d?)$", r"norm\1"),
    (r"^post_", "head_"),
    (r"^avg_pool$", "head_pool"),
    (r"^predictions$", "logits"),
)


def resnet18(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet18",
):
    """ResNet-18 of He et al. (2015), table 1: 11.7 M parameters for ImageNet.

    Args:
        input_shape, num_classes, mean, std, name: As of every model.
        stem: `"large"` is the paper's: 7x7 with stride 2, then a max pool. `"small"` is one 3x3 convolution with
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
    """ResNet-34 of He et al. (2015), table 1: 21.8 M parameters for ImageNet. `stem` as in `resnet18`."""
    return _resnet(input_shape, num_classes, BLOCKS["resnet34"], stem=stem, mean=mean, std=std, name=name)


def _resnet(input_shape, num_classes, stage_blocks, *, stem, mean, std, name):
    small = small_stem(stem, input_shape)
    size = {"downsampling": 8} if small else {"downsampling": 32, "large_stem": True}
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, **size)

    # --- Stem ---
    x = conv(x, WIDTHS[0], name="stem_conv") if small else conv(x, WIDTHS[0], 7, strides=2, name="stem_conv")
    x = norm(x, name="stem_norm")
    x = relu(x, name="stem_relu")
    if not small:
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


# --- With bottlenecks ---


def resnet50(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet50",
):
    """ResNet-50 of He et al. (2015), table 1: 25.6 M parameters. `stem` as in `resnet18`."""
    build = keras.applications.ResNet50
    return _bottlenecks(input_shape, num_classes, build, stem=stem, mean=mean, std=std, name=name)


def resnet101(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet101",
):
    """ResNet-101 of He et al. (2015), table 1: 44.6 M parameters. `stem` as in `resnet18`."""
    build = keras.applications.ResNet101
    return _bottlenecks(input_shape, num_classes, build, stem=stem, mean=mean, std=std, name=name)


def resnet152(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet152",
):
    """ResNet-152 of He et al. (2015), table 1: 60.3 M parameters. `stem` as in `resnet18`."""
    build = keras.applications.ResNet152
    return _bottlenecks(input_shape, num_classes, build, stem=stem, mean=mean, std=std, name=name)


def resnet50_v2(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet50_v2",
):
    """ResNet-50 of He et al. (2016), activated in advance: 25.6 M parameters. `stem` as in `resnet18`."""
    build = keras.applications.ResNet50V2
    return _bottlenecks(input_shape, num_classes, build, stem=stem, mean=mean, std=std, name=name)


def resnet101_v2(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet101_v2",
):
    """ResNet-101 of He et al. (2016), activated in advance: 44.6 M parameters. `stem` as in `resnet18`."""
    build = keras.applications.ResNet101V2
    return _bottlenecks(input_shape, num_classes, build, stem=stem, mean=mean, std=std, name=name)


def resnet152_v2(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    stem: Literal["auto", "small", "large"] = "auto",
    name="resnet152_v2",
):
    """ResNet-152 of He et al. (2016), activated in advance: 60.2 M parameters. `stem` as in `resnet18`."""
    build = keras.applications.ResNet152V2
    return _bottlenecks(input_shape, num_classes, build, stem=stem, mean=mean, std=std, name=name)


def _bottlenecks(input_shape, num_classes, application, *, stem, mean, std, name):
    small = small_stem(stem, input_shape)

    def change(name, config):
        if "kernel_initializer" in config:
            config |= {"kernel_initializer": initializers.HeNormal()}
        if small and name in ("stem_conv_pad", "stem_pool_pad", "stem_pool"):
            return None
        if small and name == "stem_conv":
            return config | {"kernel_size": (3, 3), "strides": (1, 1), "padding": "same"}
        return config

    return adopt(
        application,
        input_shape,
        num_classes,
        mean=mean,
        std=std,
        places=PLACES,
        change=change,
        downsampling=8 if small else 32,
        large_stem=not small,
        name=name,
    )
