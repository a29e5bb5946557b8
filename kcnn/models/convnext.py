"""ConvNeXt of Liu et al. (2022), as in keras.applications."""

from typing import Literal

import keras
import numpy as np
from keras import initializers, layers

from kcnn.models._applications import adopt
from kcnn.models._blocks import check_fractions, small_stem

PLACES = (
    (r"^convnext_[a-z]+_", ""),
    (r"^stage_(\d)_block_(\d+)_", lambda found: f"stage{int(found[1]) + 1}_block{int(found[2]) + 1}_"),
    (r"^downsampling_(\w+)_(\d)$", lambda found: f"stage{int(found[2]) + 2}_downsampling_{found[1]}"),
    (r"layernorm", "norm"),
    (r"pointwise_conv_", "pointwise_conv"),
    (r"_identity_add$", "_add"),
    (r"^head_gap$", "head_pool"),
    (r"^head_dense$", "logits"),
)
BLOCKS = {"tiny": 18, "small": 36, "base": 36, "large": 36, "xlarge": 36}


def convnext_tiny(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    drop_path: float = 0.1,
    stem: Literal["auto", "small", "large"] = "auto",
    name="convnext_tiny",
):
    """ConvNeXt-T of Liu et al. (2022), table 9: 28.6 M parameters for ImageNet.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32 with the large stem, 16 with the small.
        num_classes: At least 2.
        mean, std: One number a channel for pixels from 0 to 1, or `None`.
        drop_path: Rate at which the last block is skipped while training; it grows from 0 in the first. The default is
            that of the paper's table 5.
        stem: `"large"` is the paper's, which takes patches of 4x4 pixels; `"small"` takes patches of 2x2; `"auto"`
            takes it below 128 pixels.
        name: Name of the model.

    Returns:
        A functional model from float32 pixels 0..255 to float32 logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: On an option out of its range, or an image too small for the stages.
    """
    build = keras.applications.ConvNeXtTiny
    return _convnext(input_shape, num_classes, build, BLOCKS["tiny"], drop_path, stem, mean=mean, std=std, name=name)


def convnext_small(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    drop_path: float = 0.4,
    stem: Literal["auto", "small", "large"] = "auto",
    name="convnext_small",
):
    """ConvNeXt-S of Liu et al. (2022), table 9: 50.2 M parameters for ImageNet. Options as in `convnext_tiny`."""
    build = keras.applications.ConvNeXtSmall
    return _convnext(input_shape, num_classes, build, BLOCKS["small"], drop_path, stem, mean=mean, std=std, name=name)


def convnext_base(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    drop_path: float = 0.5,
    stem: Literal["auto", "small", "large"] = "auto",
    name="convnext_base",
):
    """ConvNeXt-B of Liu et al. (2022), table 9: 88.6 M parameters for ImageNet. Options as in `convnext_tiny`."""
    build = keras.applications.ConvNeXtBase
    return _convnext(input_shape, num_classes, build, BLOCKS["base"], drop_path, stem, mean=mean, std=std, name=name)


def convnext_large(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    drop_path: float = 0.5,
    stem: Literal["auto", "small", "large"] = "auto",
    name="convnext_large",
):
    """ConvNeXt-L of Liu et al. (2022), table 9: 197.8 M parameters for ImageNet. Options as in `convnext_tiny`."""
    build = keras.applications.ConvNeXtLarge
    return _convnext(input_shape, num_classes, build, BLOCKS["large"], drop_path, stem, mean=mean, std=std, name=name)


def convnext_xlarge(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    drop_path: float = 0.5,
    stem: Literal["auto", "small", "large"] = "auto",
    name="convnext_xlarge",
):
    """ConvNeXt-XL of Liu et al. (2022), table 9: 350.2 M parameters for ImageNet. Options as in `convnext_tiny`.

    The default of `drop_path` is that of L: the paper trained XL on ImageNet-22k first.
    """
    build = keras.applications.ConvNeXtXLarge
    return _convnext(input_shape, num_classes, build, BLOCKS["xlarge"], drop_path, stem, mean=mean, std=std, name=name)


def _convnext(input_shape, num_classes, application, blocks, drop_path, stem, *, mean, std, name):
    check_fractions(drop_path=drop_path)
    small = small_stem(stem, input_shape)
    rates = iter(np.linspace(0.0, drop_path, blocks).tolist())

    def change(name, config):
        if "kernel_initializer" in config:
            config |= {"kernel_initializer": initializers.TruncatedNormal(stddev=0.02)}  # of appendix A.1
        if small and name == "stem_conv":
            return config | {"kernel_size": (2, 2), "strides": (2, 2)}
        if name.endswith("_identity"):
            rate = next(rates)
            place = name.removesuffix("_identity")
            return layers.Dropout(rate, noise_shape=(None, 1, 1, 1), name=f"{place}_drop") if rate else None
        return config

    return adopt(
        application,
        input_shape,
        num_classes,
        mean=mean,
        std=std,
        places=PLACES,
        change=change,
        downsampling=16 if small else 32,
        large_stem=not small,
        name=name,
    )
