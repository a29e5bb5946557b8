"""Wide ResNets: activation before convolution, projections, dropout inside the blocks."""

import keras
import pytest

from kcnn.models.wide_resnet import wide_resnet16_8


def test_every_convolution_but_the_stem_follows_an_activation(build):
    for layer in build("wide_resnet28_10").layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.name != "stem_conv":
            source = layer.input._keras_history.operation
            if isinstance(source, keras.layers.ZeroPadding2D):
                source = source.input._keras_history.operation
            assert isinstance(source, keras.layers.Activation | keras.layers.Dropout), layer.name


def test_only_the_first_block_of_a_stage_projects(build):
    names = [layer.name for layer in build("wide_resnet28_10").layers if "shortcut" in layer.name]
    assert names == [f"stage{stage}_block1_shortcut_conv" for stage in (1, 2, 3)]
    assert build("wide_resnet28_10").get_layer("features").output.shape == (None, 8, 8, 640)


def test_dropout_stands_between_the_convolutions_of_a_block(build):
    model = wide_resnet16_8((8, 8, 3), 10, dropout=0.3)
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert {layer.rate for layer in dropouts} == {0.3}
    assert len(dropouts) == 6
    assert model.get_layer("stage1_block2_conv2").input is model.get_layer("stage1_block2_dropout").output
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in build("wide_resnet16_8").layers)


def test_mistakes_in_options_are_explained():
    with pytest.raises(ValueError, match=r"`dropout` .* Received: dropout=2"):
        wide_resnet16_8((32, 32, 3), 10, dropout=2)
