"""What a network is made of beside its shapes: rates of dropout, momenta, and where kernels start."""

import keras
import numpy as np
import pytest
from families import outline


def of_kind(network, kind):
    return [layer for layer in network.layers if isinstance(layer, kind)]


@pytest.mark.parametrize(
    ("name", "options", "rates"),
    [
        ("vgg11", {"dropout": 0.3}, {"head_dropout1": 0.3, "head_dropout2": 0.3}),
        ("alexnet", {"dropout": 0.3}, {"head_dropout": 0.3, "head_dropout1": 0.3}),
        (
            "googlenet",
            {"auxiliary": True, "dropout": 0.3, "auxiliary_dropout": 0.6},
            {"head_dropout": 0.3, "auxiliary1_dropout2": 0.6, "auxiliary2_dropout2": 0.6},
        ),
        (
            "efficientnet_b0",
            {"dropout": 0.3, "drop_path": 0.1},
            {"head_dropout": 0.3, "stage6_block4_drop": 0.1 * 14 / 16},
        ),
    ],
)
def test_rates_of_dropout_are_the_options(name, options, rates):
    found = {layer.name: layer.rate for layer in of_kind(outline(name, **options), keras.layers.Dropout)}
    assert {place: found.get(place) for place in rates} == pytest.approx(rates)


def test_more_and_more_blocks_of_convnext_are_skipped():
    found = [layer.rate for layer in outline("convnext_tiny", drop_path=0.17).layers if hasattr(layer, "rate")]
    assert found == pytest.approx(np.linspace(0, 0.17, 18)[1:])


@pytest.mark.parametrize("name", ["resnet50", "efficientnet_b0", "googlenet"])
def test_norms_have_the_momentum_of_papers(name):
    assert {layer.momentum for layer in of_kind(outline(name), keras.layers.BatchNormalization)} == {0.9}


@pytest.mark.parametrize(
    ("name", "place", "kind", "stddev"),
    [
        ("resnet50", "stage1_block1_conv1", "HeNormal", None),
        ("convnext_tiny", "stem_conv", "TruncatedNormal", 0.02),
        ("vgg11", "head_dense1", "RandomNormal", 0.01),
        ("vgg11", "logits", "RandomNormal", 0.01),
        ("alexnet", "logits", "RandomNormal", 0.01),
    ],
)
def test_kernels_start_as_in_the_paper(name, place, kind, stddev):
    found = outline(name).get_layer(place).kernel_initializer
    assert (type(found).__name__, getattr(found, "stddev", None)) == (kind, stddev)
