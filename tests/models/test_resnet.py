"""ResNet-18 and 34: which stem, and where the shortcuts project."""

import pytest

from kcnn.models.resnet import resnet18


@pytest.mark.parametrize(
    ("size", "stem", "features"),
    [
        (32, "auto", 4),
        (127, "auto", 16),
        (128, "auto", 4),
        (32, "large", 1),
        (64, "small", 8),
        (33, "large", 2),
    ],
)
def test_stem_follows_the_size_of_the_image(size, stem, features):
    model = resnet18((size, size, 3), 10, stem=stem)
    assert model.get_layer("features").output.shape == (None, features, features, 512)


def test_the_smaller_side_chooses_the_stem():
    names = [layer.name for layer in resnet18((64, 512, 3), 10).layers]
    assert "stem_pool" not in names


def test_shortcuts_project_where_the_shape_changes(build):
    for name in ("resnet18", "resnet34"):
        names = [layer.name for layer in build(name).layers if layer.name.endswith("_shortcut_conv")]
        assert names == [f"stage{stage}_block1_shortcut_conv" for stage in (2, 3, 4)]


@pytest.mark.parametrize(
    ("shape", "stem", "message"),
    [
        ((32, 32, 3), "tiny", "`stem` must be 'auto', 'small' or 'large'. Received: stem='tiny'"),
        ((31, 64, 3), "large", "halves it 5 times, .* at least 32"),
        ((7, 64, 3), "auto", "halves it 3 times, .* at least 8.* Use larger images, or a model that downsamples less"),
        ((31, 64, 3), "large", "Use larger images, stem='small', or a model that downsamples less"),
    ],
)
def test_mistakes_in_options_are_explained(shape, stem, message):
    with pytest.raises(ValueError, match=message):
        resnet18(shape, 10, stem=stem)
