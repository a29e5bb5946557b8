import json
import re
import tomllib

import pytest

from kcnn import recipe
from kcnn.errors import RecipeError
from kcnn.registry import MODELS, OPTIMIZERS, SCHEDULES
from kcnn.schema import json_schema

OF_FOLDERS = ("folder", "finetune_resnet50", "finetune_efficientnet")


@pytest.mark.parametrize("name", recipe.names())
def test_every_recipe_loads_and_opens_with_its_command(name):
    data = "images" if name in OF_FOLDERS else None
    assert recipe.load(name, data=data).epochs >= 1
    lines = recipe.find(name).read_text().splitlines()
    assert lines[0].startswith("# ")
    assert any(line.startswith(f"#   kcnn fit {name}") or line == "#   kcnn fit --data PATH" for line in lines[:4])


@pytest.mark.parametrize("name", recipe.names())
def test_writing_and_reading_a_recipe_changes_nothing(name, tmp_path):
    loaded = recipe.load(name, data="images" if name in OF_FOLDERS else None)
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.to_toml(loaded))
    assert recipe.load(path) == loaded


@pytest.mark.parametrize(
    ("table", "name"),
    [
        (table, name)
        for table, registry in (("model", MODELS), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES))
        for name in registry.names()
    ],
)
def test_what_is_registered_can_be_written_and_read(table, name):
    loaded = recipe.load("smoke", (f'{table}={{name="{name}"}}',))
    assert recipe.validate(tomllib.loads(recipe.to_toml(loaded))) == loaded


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("finetune.freeze=all",), "finetune.freeze: needs model.weights"),
        (("finetune.unfreeze_epoch=2",), "finetune.unfreeze_epoch: nothing is frozen; give finetune.freeze too"),
        (("finetune.unfreeze_epoch=4",), "finetune.unfreeze_epoch: must be less than epochs (4). Received: 4"),
        (
            ("finetune.freeze=0",),
            "finetune.freeze: expected 'all', the name of a part, or a number of parts. Received: 0",
        ),
        (("finetune.layer_decay=1.5",), "finetune.layer_decay: expected less than or equal to 1. Received: 1.5"),
        (("finetune.freze=all",), "finetune.freze: unknown key. Did you mean 'freeze'?"),
        (("model.weight=x",), "model.weight: unknown key. Did you mean 'weights'?"),
    ],
)
def test_mistakes_of_fine_tuning_are_told(settings, message):
    with pytest.raises(RecipeError, match=re.escape(message)):
        recipe.load("smoke", settings)


def test_weights_are_no_option_of_a_builder():
    loaded = recipe.load("smoke", ("model.weights=a/run",))
    assert loaded.model.weights == "a/run"
    assert "weights" not in loaded.model.options()
    with pytest.raises(RecipeError, match="a model that is built without a recipe starts from none"):
        recipe.model_options("resnet20", ("weights=a/run",))


def test_differences_between_recipes_are_told_by_key():
    old = recipe.load("smoke", ("callbacks.ema.decay=0.9", "data.path=a"))
    new = recipe.load("smoke", ("epochs=9", "augment.0.width=0.2", "data.path=b", "run.checkpoint_seconds=1"))
    found = recipe.differences(recipe.to_toml(old), recipe.to_toml(new))
    assert found == [
        "epochs: 4 -> 9",
        "augment.0.width: 0.125 -> 0.2",
        "callbacks.ema.decay: 0.9 -> absent",
        "callbacks.ema.every: 1 -> absent",
    ]
    assert recipe.differences(recipe.to_toml(old), recipe.to_toml(old)) == []


def test_a_path_that_no_recipe_could_hold_is_a_mistake():
    """recipe.toml is UTF-8, and Linux allows any bytes in a name."""
    with pytest.raises(RecipeError, match=r"data\.path: .*UTF-8"):
        recipe.load("folder", data="caf\udce9")


SHORT_TRIAL = "A short trial needs none: --set schedule.warmup_epochs=0"


def test_five_mistakes_are_five_lines(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(
        'epoch = 3\nbatch_size = "many"\n[data]\nname = "digts"\n[[augment]]\nname = "crop"\npaddin = 2\n'
        '[model]\nname = "simple_cnn"\n[optimizer]\nname = "adam"\n'
        '[schedule]\nname = "cosine"\nwarmup_epochs = 60\n'
    )
    with pytest.raises(RecipeError) as error:
        recipe.load(path)
    lines = str(error.value).splitlines()
    assert lines[0] == f"{path} is not a valid recipe:"
    assert sorted(lines[1:]) == [
        "  - augment.0.paddin: unknown key. Did you mean 'padding'?",
        '  - batch_size: expected integer. Received: "many"',
        (
            "  - data.name: expected 'digits', 'cifar10', 'cifar100', 'mnist', 'fashion_mnist' or 'folder'. "
            "Did you mean 'digits'? Received: \"digts\""
        ),
        "  - epoch: unknown key. Did you mean 'epochs'?",
        "  - schedule.warmup_epochs: must be at least 0 and less than epochs (10). Received: 60. " + SHORT_TRIAL,
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.name=vgg99", "unknown model 'vgg99'"),
        ("model.width=3.5", "model.width: expected integer"),
        ("data.image_size=[32]", "data.image_size"),
        ("seed=-1", "seed: expected greater than or equal to 0"),
        ("optimizer.learning_rate=nan", "optimizer.learning_rate"),
        ("augment.7.name=crop", "no such place"),
        ("nonsense", "Expected --set key=value"),
        ("data.mean=[0.5]", "data.std: give mean and std together"),
        ("callbacks.emma.decay=0.9", "Did you mean 'ema'"),
        ("data.about=  ", "data.about: expected words. Received:"),
        ("run.licence=", "run.licence: expected words. Received:"),
        ("loss.label_smoothing=1", "loss.label_smoothing: expected less than 1"),
    ],
)
def test_a_mistake_is_named_by_its_place(setting, message):
    with pytest.raises(RecipeError) as error:
        recipe.load("smoke", (setting,))
    assert message in str(error.value)


def test_watching_validation_without_validation_images_is_a_mistake():
    with pytest.raises(RecipeError, match=r"callbacks.best: needs validation images"):
        recipe.load("smoke", ("data.validation=0.0", "callbacks.best=true"))
    # Images of one's own may be divided already, which is seen when they are read.
    recipe.load("smoke", ("data.validation=0.0", "callbacks.best=true", "data.path=mine"))


def test_settings_are_typed_and_may_be_words():
    changed = recipe.load(
        "smoke", ("model.width=8", "data.resize=pad", "augment=[]", "callbacks.ema.decay=0.9", "data.image_size=16")
    )
    assert changed.model.width == 8
    assert changed.data.resize == "pad"
    assert changed.augment == ()
    assert changed.callbacks.ema.decay == 0.9
    assert changed.data.image_size == (16, 16)


def test_data_on_the_command_line_takes_the_place_of_the_recipes():
    changed = recipe.load("cifar10_simple_cnn", data="some/where.tar")
    assert (changed.data.name, changed.data.path) == ("folder", "some/where.tar")
    assert changed.data.mean == (0.4914, 0.4822, 0.4465)


@pytest.mark.parametrize("content", ["epochs = ", "\x00\xff"])
def test_what_is_not_toml_says_so(tmp_path, content):
    path = tmp_path / "x.toml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(RecipeError, match="is not TOML"):
        recipe.load(path)


def test_a_recipe_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(recipe.find("digits").read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert recipe.load(path) == recipe.load("digits")
    assert recipe.summary(path) == recipe.summary(recipe.find("digits"))


def test_what_the_call_changed_is_not_blamed_on_the_file():
    with pytest.raises(RecipeError, match=r"digits\.toml, as this call changes it, is not a valid recipe"):
        recipe.load("digits", ("model.widht=3",))


@pytest.mark.parametrize("name", ["photos", "photos.zip", "photos.csv"])
def test_images_in_the_place_of_a_recipe(tmp_path, name):
    path = tmp_path / name
    if path.suffix:
        path.write_bytes(b"PK\x03\x04\xff\n,")
    else:
        path.mkdir()
    with pytest.raises(RecipeError, match=f"Where it is about images: kcnn fit --data {path}$"):
        recipe.load(path)


def test_the_schema_describes_every_recipe():
    import jsonschema

    schema = json.loads(json.dumps(json_schema()))
    validator = jsonschema.Draft202012Validator(schema)
    for name in recipe.names():
        validator.validate(tomllib.loads(recipe.find(name).read_text()))
    broken = tomllib.loads(recipe.find("smoke").read_text())
    broken["model"]["widht"] = 3
    assert list(validator.iter_errors(broken))


def test_a_run_is_named_after_the_recipe_or_the_run_that_it_repeats(tmp_path, monkeypatch):
    run = tmp_path / "mine" / "sub"
    run.mkdir(parents=True)
    (tmp_path / "mine" / "recipe.toml").write_text("")
    monkeypatch.chdir(run)
    assert recipe.stem("../recipe.toml") == "mine"
    monkeypatch.chdir(tmp_path / "mine")
    assert recipe.stem("recipe.toml") == "mine"
    assert recipe.stem("digits") == "digits"


def test_data_that_is_no_table_is_a_mistake_of_the_recipe():
    with pytest.raises(RecipeError, match="data: expected"):
        recipe.load("smoke", ("data=3",), data="images")


def test_another_name_leaves_the_options_of_the_former_behind():
    loaded = recipe.load("smoke", ("model.name=vgg11",))
    assert loaded.model.options() == {"batch_norm": False, "dropout": 0.0}  # which the recipe gives simple_cnn, too
    assert recipe.load("smoke", ("optimizer.name=sgd",)).optimizer.learning_rate == 5e-3
    with pytest.raises(RecipeError, match=r"model.width: unknown key"):
        recipe.load("smoke", ("model.name=vgg11", "model.width=8"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("data.mean=[125.3]", "data.std=[0.2]"), r"data\.mean: of pixels from 0 to 1, not to 255"),
        (("data.mean=[0.5]", "data.std=[60.0]"), r"data\.std: of pixels from 0 to 1, not to 255"),
        (("optimizer.learning_rate=0",), r"optimizer\.learning_rate: must be greater than 0"),
    ],
)
def test_numbers_that_train_nothing_are_refused(settings, message):
    with pytest.raises(RecipeError, match=message):
        recipe.load("smoke", settings)
