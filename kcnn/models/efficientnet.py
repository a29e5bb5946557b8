"""EfficientNet of Tan & Le (2019) and EfficientNetV2 of Tan & Le (2021), as in keras.applications."""

from typing import Literal

import keras

from kcnn.models._applications import adopt
from kcnn.models._blocks import check_fractions, small_stem

PLACES = (
    (r"^top_", "head_"),
    (r"^block(\d)([a-z])_", lambda found: f"stage{found[1]}_block{ord(found[2]) - ord('a') + 1}_"),
    (r"dwconv2?", "depthwise_conv"),
    (r"(^|_)bn$", r"\1norm"),
    (r"^avg_pool$", "head_pool"),
    (r"^predictions$", "logits"),
)
DROP_PATH = 0.2  # at the end of the network, in keras.applications


def efficientnet_b0(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b0",
):
    """EfficientNet-B0 of Tan & Le (2019), table 2: 5.3 M parameters, for 224 pixels.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32 with the large stem, 16 with the small.
        num_classes: At least 2.
        mean, std: One number a channel for pixels from 0 to 1, or `None`.
        dropout: Rate in front of the logits.
        drop_path: The rate at which blocks are skipped while training grows towards this one, from 0 in the first; a
            block without a shortcut is never skipped.
        stem: `"large"` is the paper's, with stride 2; `"small"` has stride 1; `"auto"` takes it below 128 pixels.
        name: Name of the model.

    Returns:
        A functional model from float32 pixels 0..255 to float32 logits of shape `(batch, num_classes)`.

    Raises:
        ValueError: On an option out of its range, or an image too small for the stages.
    """
    build = keras.applications.EfficientNetB0
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_b1(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b1",
):
    """EfficientNet-B1 of Tan & Le (2019): 7.8 M parameters, for 240 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetB1
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_b2(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.3,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b2",
):
    """EfficientNet-B2 of Tan & Le (2019): 9.1 M parameters, for 260 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetB2
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_b3(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.3,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b3",
):
    """EfficientNet-B3 of Tan & Le (2019): 12.2 M parameters, for 300 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetB3
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_b4(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.4,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b4",
):
    """EfficientNet-B4 of Tan & Le (2019): 19.3 M parameters, for 380 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetB4
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_b5(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.4,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b5",
):
    """EfficientNet-B5 of Tan & Le (2019): 30.4 M parameters, for 456 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetB5
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_b6(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.5,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b6",
):
    """EfficientNet-B6 of Tan & Le (2019): 43.0 M parameters, for 528 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetB6
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_b7(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.5,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_b7",
):
    """EfficientNet-B7 of Tan & Le (2019): 66.3 M parameters, for 600 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetB7
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


# --- EfficientNetV2 ---


def efficientnet_v2_b0(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_v2_b0",
):
    """EfficientNetV2-B0 of Tan & Le (2021): 7.1 M parameters, for 224 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetV2B0
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_v2_b1(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_v2_b1",
):
    """EfficientNetV2-B1 of Tan & Le (2021): 8.1 M parameters, for 240 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetV2B1
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_v2_b2(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_v2_b2",
):
    """EfficientNetV2-B2 of Tan & Le (2021): 10.1 M parameters, for 260 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetV2B2
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_v2_b3(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_v2_b3",
):
    """EfficientNetV2-B3 of Tan & Le (2021): 14.4 M parameters, for 300 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetV2B3
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_v2_s(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_v2_s",
):
    """EfficientNetV2-S of Tan & Le (2021): 21.5 M parameters, for 384 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetV2S
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_v2_m(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_v2_m",
):
    """EfficientNetV2-M of Tan & Le (2021): 54.1 M parameters, for 480 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetV2M
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def efficientnet_v2_l(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    stem: Literal["auto", "small", "large"] = "auto",
    name="efficientnet_v2_l",
):
    """EfficientNetV2-L of Tan & Le (2021): 118.5 M parameters, for 480 pixels. Options as in `efficientnet_b0`."""
    build = keras.applications.EfficientNetV2L
    return _efficientnet(input_shape, num_classes, build, dropout, drop_path, stem, mean=mean, std=std, name=name)


def _efficientnet(input_shape, num_classes, application, dropout, drop_path, stem, *, mean, std, name):
    check_fractions(dropout=dropout, drop_path=drop_path)
    small = small_stem(stem, input_shape)

    def change(name, config):
        if small and name == "stem_conv":
            return config | {"strides": (1, 1), "padding": "same"}
        if name == "head_dropout":
            return config | {"rate": dropout}
        if name.endswith("_drop"):
            return config | {"rate": config["rate"] * drop_path / DROP_PATH} if drop_path else None
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
        same_padding=True,
        name=name,
    )
