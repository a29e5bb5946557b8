"""What is said of a network adds up, whatever it was asked for by."""

import json
import math

import keras
import pytest

from kcnn.errors import RunError, UsageError
from kcnn.registry import MODELS
from kcnn.workflows.describe import describe
from kcnn.workflows.diagram import diagram
from kcnn.workflows.subject import find_subject


@pytest.mark.parametrize("name", ["simple_cnn", "residual_cnn", "resnet20", "wide_resnet16_8", "resnet18"])
def test_layers_are_those_of_keras(name):
    found = describe(find_subject(name, input_shape=(32, 32, 3), classes=10))
    model = MODELS.get(name)((32, 32, 3), 10)
    assert {layer.name for layer in found.layers} == {layer.name for layer in model.layers}
    assert found.parameters == sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert found.parameters + found.statistics == model.count_params()
    for layer in found.layers:
        assert (None, *layer.output_shape) == model.get_layer(layer.name).output.shape
        assert set(layer.inputs) <= {other.name for other in found.layers}
        assert layer.field.stride is not None or layer.field.whole
    assert found.peak <= found.activations


def test_auxiliary_heads_are_layers_like_any_other():
    plain, headed = (describe(find_subject("googlenet", settings=[f"auxiliary={word}"])) for word in ("false", "true"))
    assert (plain.parameters, headed.parameters) == (6_624_904, 13_004_888)  # torchvision's
    assert headed.classes == plain.classes == 1000
    beside = {layer.name for layer in headed.layers} - {layer.name for layer in plain.layers}
    assert all(name.startswith("auxiliary") for name in beside)
    assert sum(name.endswith("_logits") for name in beside) == 2


def test_a_model_without_memory_is_the_one_with_memory():
    subject = find_subject("simple_cnn", settings=["width=8", "model.depth=2"])
    found = describe(subject)
    assert subject.options["width"] == 8
    assert found.changed == {"width": 8, "depth": 2}
    assert found.parameters == sum(
        math.prod(weight.shape)
        for weight in MODELS.get("simple_cnn")((32, 32, 3), 10, width=8, depth=2).trainable_weights
    )


def test_the_articles_opening():
    found = describe(find_subject("resnet18")).fully_connected
    assert (found.inputs, found.units, found.weights) == (150_528, 1_024, 154_140_672)
    assert (found.first, found.first_weights, found.first_macs) == ("stem_conv", 7 * 7 * 3 * 64, 112 * 112 * 9_408)


def test_memory_is_proportional_to_the_batch():
    one, many = (describe(find_subject("resnet20"), batch=batch) for batch in (1, 128))
    assert (many.activations, many.peak) == (128 * one.activations, 128 * one.peak)
    assert many.weight_bytes == one.weight_bytes == 4 * 271_098


def test_a_run_and_its_file_are_described_alike(smoke_run):
    run, file = (describe(find_subject(str(path))) for path in (smoke_run.path, smoke_run.model))
    assert run.layers == file.layers
    model = keras.saving.load_model(smoke_run.model)
    assert run.parameters + run.statistics == model.count_params()
    assert run.input_shape == model.input_shape[1:]
    assert run.layers[-1].name == "probabilities"


def test_a_document_is_json_and_complete():
    found = describe(find_subject("simple_cnn"))
    document = json.loads(json.dumps(found.document()))
    assert document["macs"] == sum(layer["macs"] for layer in document["layers"]) == 30_249_984
    assert document["parameters"] == sum(layer["parameters"] for layer in document["layers"]) == 1_194_282
    features = next(layer for layer in document["layers"] if layer["name"] == "features")
    assert (features["receptive_field"], features["stride"]) == ([28, 28], [8, 8])


def test_a_sequential_model_of_a_stranger_with_a_model_inside(tmp_path):
    inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3, name="conv")], name="inner")
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), inner, keras.layers.Flatten(), keras.layers.Dense(2, name="last")], name="outer"
    )
    model.save(tmp_path / "model.keras")
    found = describe(find_subject(str(tmp_path / "model.keras")))
    assert found.layers[-1].name == "last"
    assert "inner/conv" in [layer.name for layer in found.layers]
    assert found.parameters == 3 * 3 * 3 * 2 + 2 + 72 * 2 + 2
    assert found.macs == 36 * 54 + 144
    assert "<svg" in diagram(found)


# --- Mistakes ---


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("resnt20", {}, "Did you mean 'resnet20'"),
        ("smoke", {}, "It is a recipe, whose model is"),
        ("nothing at all", {}, "`kcnn models` lists the models"),
        ("gone.keras", {}, "There is no model and no run"),
        ("simple_cnn", {"settings": ["widht=3"]}, "Did you mean 'width'"),
        ("simple_cnn", {"settings": ["width=wide"]}, "model.width: expected"),
        ("simple_cnn", {"settings": ["width"]}, "Expected --set key=value"),
        ("simple_cnn", {"settings": ["name=resnet20"]}, "names another model"),
    ],
)
def test_mistakes_are_told_without_keras(text, options, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        find_subject(text, **options)


def test_an_image_that_is_too_small_is_a_mistake_of_the_user():
    with pytest.raises(UsageError, match="simple_cnn: The image is too small"):
        describe(find_subject("simple_cnn", input_shape=(4, 4, 3)))


def test_a_trained_model_has_its_input(smoke_run):
    with pytest.raises(UsageError, match="its input, classes and options are fixed"):
        find_subject(str(smoke_run.path), classes=3)


def test_a_run_named_like_a_model_gives_way_to_it(smoke_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "saved_models").mkdir()
    (tmp_path / "saved_models" / "resnet20").symlink_to(smoke_run.path)
    assert find_subject("resnet20").path is None
    assert find_subject("saved_models/resnet20").path is not None
    (tmp_path / "saved_models" / "mine").symlink_to(smoke_run.path)
    with pytest.raises(UsageError, match="Did you mean 'mine'"):
        find_subject("mne")


def test_a_folder_that_is_no_run_is_said(tmp_path):
    with pytest.raises(RunError, match="is not a run"):
        find_subject(str(tmp_path))
