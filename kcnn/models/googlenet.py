"""GoogLeNet of Szegedy et al. (2014): inception modules, whose branches see at several scales."""

from typing import Literal

import keras
from keras import layers

from kcnn.models._blocks import (
    check_fractions,
    conv,
    dense_relu_dropout,
    local_response_norm,
    logits,
    norm,
    pixels,
    relu,
    small_stem,
)

# Table 1 of the paper: filters of 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, and of the projection behind the pooling.
STAGES = {
    3: ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    4: (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    5: ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
}
LAST = (5, 2)
AUXILIARY = {(4, 1): 1, (4, 4): 2}  # the modules behind which an auxiliary head stands
NORM_EPSILON = 1e-3  # of Ioffe & Szegedy's Inception, and of torchvision's


def googlenet(
    input_shape,
    num_classes,
    *,
    mean=None,
    std=None,
    form: Literal["batch_norm", "paper"] = "batch_norm",
    auxiliary: bool = False,
    stem: Literal["auto", "small", "large"] = "auto",
    dropout: float = 0.4,
    auxiliary_dropout: float = 0.7,
    name="googlenet",
):
    """GoogLeNet of Szegedy et al. (2014), table 1, by default with batch normalisation: 6.6 M parameters.

    Args:
        input_shape: `(height, width, channels)`; height and width at least 32 with the large stem, 8 with the small.
        num_classes: At least 2.
        mean, std: One number a channel for pixels from 0 to 1, or `None`.
        form: `"batch_norm"` normalises behind each convolution, and has 3x3 in place of the 5x5 and 2x2 in place of the
            last pooling's 3x3: torchvision's network. `"paper"` has no batch but local response normalisation.
        auxiliary: Whether to add the two auxiliary heads of section 5, whose losses count for 0.3 while training. Their
            logits are outputs beside the first; `kcnn fit` leaves them out of the finished model.
        stem: `"large"` is the paper's, which leaves an eighth of the pixels along an axis; `"small"` leaves half;
            `"auto"` takes the small one below 128 pixels.
        dropout, auxiliary_dropout: Rates in front of the logits, and of those of the auxiliary heads.
        name: Name of the model.

    Returns:
        A functional model from float32 pixels 0..255 to float32 logits of shape `(batch, num_classes)`, or to a list of
        three with `auxiliary`.

    Raises:
        ValueError: On an option out of its range, or an image too small for the poolings.
    """
    if form not in ("batch_norm", "paper"):
        raise ValueError(f"`form` must be 'batch_norm' or 'paper'. Received: form={form!r}")
    check_fractions(dropout=dropout, auxiliary_dropout=auxiliary_dropout)
    normed, small = form == "batch_norm", small_stem(stem, input_shape)
    size = {"downsampling": 8} if small else {"downsampling": 32, "large_stem": True}
    inputs, x = pixels(input_shape, num_classes, mean=mean, std=std, **size)

    def convolve(x, filters, size, place, index="", **options):
        x = conv(x, filters, size, use_bias=not normed, name=f"{place}_conv{index}", **options)
        x = norm(x, epsilon=NORM_EPSILON, name=f"{place}_norm{index}") if normed else x
        return relu(x, name=f"{place}_relu{index}")

    def inception(x, filters, place, output):
        point, three_reduced, three, five_reduced, five, pooled = filters
        threes = convolve(x, three_reduced, 1, f"{place}_three", 1)
        fives = convolve(x, five_reduced, 1, f"{place}_five", 1)
        pool = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{place}_pool")(x)
        branches = [
            convolve(x, point, 1, f"{place}_point"),
            convolve(threes, three, 3, f"{place}_three", 2),
            convolve(fives, five, 3 if normed else 5, f"{place}_five", 2),
            convolve(pool, pooled, 1, f"{place}_pool"),
        ]
        return layers.Concatenate(name=output)(branches)

    def auxiliary_head(x, place):
        window = min(5, *x.shape[1:3])  # of a small image; the paper's map has 14x14 places
        x = layers.AveragePooling2D(window, strides=3, name=f"{place}_pool")(x)
        x = convolve(x, 128, 1, place)
        x = layers.Flatten(name=f"{place}_flatten")(x)
        x = dense_relu_dropout(x, 1024, dropout=auxiliary_dropout, index=2, name=place)
        return logits(x, num_classes, initialization="he_normal", name=f"{place}_logits")

    # --- Stem ---
    if small:
        x = convolve(x, 64, 3, "stem", 1)
    else:
        x = convolve(x, 64, 7, "stem", 1, strides=2)
        x = _pool(x, 3, name="stem_pool")
    x = x if normed else local_response_norm(x, name="stem_response")
    x = convolve(x, 64, 1, "stem", 2)
    x = convolve(x, 192, 3, "stem", 3)
    x = x if normed else local_response_norm(x, name="stem_response_b")
    x = _pool(x, 3, name="stem_pool2")

    # --- Inception modules ---
    heads = []
    for stage, modules in STAGES.items():
        for block, filters in enumerate(modules, start=1):
            place = f"stage{stage}_block{block}"
            x = inception(x, filters, place, "features" if (stage, block) == LAST else f"{place}_concat")
            if auxiliary and (stage, block) in AUXILIARY:
                heads.append(auxiliary_head(x, f"auxiliary{AUXILIARY[stage, block]}"))
        if stage < LAST[0]:
            x = _pool(x, 2 if normed and stage == 4 else 3, name=f"stage{stage}_pool")

    # --- Classifier ---
    x = layers.GlobalAveragePooling2D(name="head_pool")(x)
    x = layers.Dropout(dropout, name="head_dropout")(x)
    outputs = logits(x, num_classes, initialization="he_normal")
    return keras.Model(inputs, [outputs, *heads] if auxiliary else outputs, name=name)


def _pool(x, size, *, name):
    """Halve the map, with zeros at the far edges where the windows would leave a row or column out."""
    beyond = [(0, max((n - size) % 2, size - n)) for n in x.shape[1:3]]
    if any(far for _, far in beyond):
        x = layers.ZeroPadding2D(beyond, name=f"{name}_pad")(x)  # behind a ReLU no maximum is below them
    return layers.MaxPooling2D(size, strides=2, name=name)(x)
