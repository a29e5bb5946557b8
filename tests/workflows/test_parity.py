"""The same training on every installed backend, side by side."""

import json

import families
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from kcnn import backend, data, recipe
from kcnn.assemble import assemble
from kcnn.errors import KcnnError, UsageError
from kcnn.workflows import parity

# All backends take part in each comparison.
pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(len(backend.installed()) < 2, reason="one backend is installed"),
]

SMALL = ("data.limit=200", "batch_size=32")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """120 handwritten digits as colour images of 32 x 32 pixels, one folder a class."""
    folder = tmp_path_factory.mktemp("images")
    digits = load_digits()
    for index in range(120):
        target = folder / str(digits.target[index])
        target.mkdir(exist_ok=True)
        pixels = (digits.images[index] * 255 / 16).round().astype("uint8")
        Image.fromarray(pixels).resize((32, 32)).convert("RGB").save(target / f"{index:03d}.png")
    return folder


def fast(images, folder):
    """Return a training of cifar10_fast, narrow, on the images with noise of all colours.

    Where channels are equal, the whitening makes maps that hardly vary, whose variance JAX's one pass has to few
    digits (docs/design.md, 147).
    """
    rng = np.random.default_rng(0)
    for path in sorted(images.glob("*/*.png")):
        target = folder / path.relative_to(images)
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(Image.open(path)) // 2 + rng.integers(0, 128, (32, 32, 3), dtype="uint8")
        Image.fromarray(pixels).save(target)
    narrow = ("batch_size=32", "data.validation=0.2", "precision=float32", "model.widths=[8, 16, 16]")
    return recipe.load("cifar10_fast", narrow, data=str(folder)), 5


def finetuned(folder):
    """Return a training of two steps an epoch, of which the first two epochs train the logits alone."""
    base = recipe.load("smoke", ("seed=1", "data.limit=64"))
    file = str(folder / "base.weights.h5")
    assemble(base, data.load(base.data, base.seed)).network.save_weights(file)
    settings = ("epochs=4", "data.limit=64", "batch_size=32", f"model.weights={file}", "optimizer.learning_rate=1e-3")
    stages = ("finetune.freeze=all", "finetune.unfreeze_epoch=2", "finetune.layer_decay=0.7")
    return recipe.load("smoke", (*settings, *stages)), 7


@pytest.fixture(scope="module")
def found(images, tmp_path_factory):
    """Two recipes compared on all backends: digits, and the article's on images of its size."""
    out = tmp_path_factory.mktemp("parity")
    article = recipe.load("cifar10_simple_cnn", ("batch_size=32", "data.validation=0.2"), data=str(images))
    jobs = {"digits": (recipe.load("digits", SMALL), 6), "article": (article, 4), "finetuned": finetuned(out)}
    jobs["fast"] = fast(images, tmp_path_factory.mktemp("coloured"))
    return out, list(parity.parity(jobs, out=out))


def test_one_recipe_is_one_experiment(found):
    for result in found[1]:
        failed = [check for check in result.checks if not check.holds]
        assert not failed
        assert {check.backend for check in result.checks} == set(backend.installed()[1:])


def test_the_batches_and_weights_are_equal_to_the_bit(found):
    exact = [check for result in found[1] for check in result.checks if check.tolerance == 0]
    assert {check.name for check in exact} == {
        "data",
        "initial weights",
        "augmented images, each step",
        "labels, each step",
        "dropout masks, each step",
        "learning rate, each step",
    }


def test_the_documents_hold_every_step(found):
    out, _ = found
    document = json.loads((out / "article" / "parity.json").read_text())
    assert document["holds"] is True
    assert [row["step"] for row in document["steps"]] == [0, 1, 2, 3]
    assert len(document["biases_before_norm"]) == 5
    other = backend.installed()[1]
    row = document["steps"][3]["backends"][other]
    assert set(row) == {
        *("loss", "gradient_norm", "same_weights_loss", "same_weights_gradient"),
        *("own_run_loss", "own_run_gradient", "weights", "biases", "statistics"),
    }
    assert document["logits"][other]["agreement"] > 0.5
    with Image.open(out / "digits" / "parity.png") as picture:
        assert picture.width > 1000


def test_a_difference_is_told(monkeypatch, tmp_path, kcnn):
    real = parity._all

    def tampered(children, **request):
        answers = real(children, **request)
        if "step" in request and "from" not in request:
            answers["torch"] |= {"images": "other", "loss": answers["torch"]["loss"] * 1.1}
        return answers

    monkeypatch.setattr(parity, "_all", tampered)
    arguments = [
        "parity",
        "smoke",
        "--steps",
        2,
        "--out",
        tmp_path,
        "--backends",
        "jax,torch",
        "--set",
        "data.limit=100",
    ]
    code, out, _ = kcnn(*arguments)
    assert code == 1
    lines = {line.strip().split("  ")[0]: line for line in out.splitlines()}
    assert "DIFFERENT" in lines["augmented images, each step"]
    assert "identical" in lines["labels, each step"]
    assert "FAILS" in lines["losses of 2 steps of runs on their own"]
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("Picture"))


@pytest.mark.parametrize("who", [["torch"], ["jax", "torch"]], ids=str)
def test_what_is_no_number_never_holds(monkeypatch, tmp_path, who):
    real = parity._all

    def exploding(children, **request):
        answers = real(children, **request)
        for name in set(who) & set(answers):
            if request.get("step") == 1:
                answers[name]["loss"] = float("nan")
        return answers

    monkeypatch.setattr(parity, "_all", exploding)
    jobs = {"smoke": (recipe.load("smoke", ("data.limit=100",)), 2)}
    (found,) = parity.parity(jobs, backends=["jax", "torch"], out=tmp_path)
    assert not found.holds
    text = (tmp_path / "smoke" / "parity.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["holds"] is False


def test_what_a_backend_cannot_do_is_told_once(tmp_path):
    jobs = {"bad": (recipe.load("smoke", ("model.depth=9",)), 1)}
    with pytest.raises(UsageError, match=r"^\w+: model: .*too small"):
        list(parity.parity(jobs, out=tmp_path))


def test_a_backend_that_dies_is_told(tmp_path, monkeypatch):
    class Dying(parity._Child):
        def answer(self):
            self.process.kill()
            self.process.wait()
            return super().answer()

    monkeypatch.setattr(parity, "_Child", Dying)
    with pytest.raises(KcnnError, match="the process ended early"):
        list(parity.parity({"smoke": (recipe.load("smoke"), 1)}, out=tmp_path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a RECIPE"),
        (["digits", "--recipe-all"], "--recipe-all takes no RECIPE"),
        (["digits", "--backends", "jax"], "two backends or more"),
        (["digits", "--backends", "jax,jex"], "Did you mean 'jax'?"),
        (["digits", "--backends", ""], "two backends or more"),
        (["digits", "--out", __file__], "Cannot write to"),
        (["digts"], "Did you mean 'digits'?"),
        (["digits", "--steps", "0"], "0 is not in the range"),
        (["--recipe-all"], "--data PATH"),
    ],
)
def test_mistakes_in_the_call(kcnn, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = kcnn("parity", *arguments)
    assert code == 2
    assert message in err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_it_holds_for_each_kind_of_model_and_every_recipe(images, tmp_path):
    settings = ("data.limit=64", "batch_size=16", "data.validation=0.2")
    plain = {name: f'model={{name="{name}"}}' for name in (*families.SMALL, *families.LARGE, "resnet110", "plain110")}
    jobs = {
        name: (recipe.load("folder", (*settings, "data.image_size=32", model), data=str(images)), 2)
        for name, model in plain.items()
    }
    for name in recipe.names():
        data = None if name in ("digits", "smoke") else str(images)
        jobs[f"recipe {name}"] = (recipe.load(name, settings, data=data), 3)
    for result in parity.parity(jobs, out=tmp_path):
        # Without shortcuts 56 layers and more amplify rounding beyond the losses' tolerances (docs/parity.md).
        plain = result.recipe.startswith("plain")
        checks = [check for check in result.checks if not (plain and check.name.startswith("loss"))]
        assert all(check.holds for check in checks), (result.recipe, checks)


@pytest.mark.parametrize(
    ("part", "value", "expected"),
    [
        (None, None, []),
        ("data", 2, ["data"]),
        ("initial", np.ones(2), ["initial weights"]),
        ("images", "x", ["augmented images, each step"]),
        ("labels", "x", ["labels, each step"]),
        ("masks", "x", ["dropout masks, each step"]),
        ("learning_rate", 0.2, ["learning rate, each step"]),
    ],
)
def test_each_exact_check_sees_what_it_is_named_after(part, value, expected):
    def of(changes, same):
        return {"a": same, "b": {**same, **({part: value} if part in changes else {})}}

    answers = of(
        ("images", "labels", "masks", "learning_rate"),
        {"images": "i", "labels": "l", "masks": "m", "learning_rate": 0.1},
    )
    found = parity._checks(
        "b",
        "a",
        recipe.load("smoke"),
        of(("data",), {"data": 1}),
        of(("initial",), {"initial": np.zeros(2)}),
        {"a": np.ones((1, 2)), "b": np.ones((1, 2))},
        [answers],
        [{"backends": {"b": {"same_weights_loss": 0.0, "own_run_loss": 0.0}}}],
    )
    assert [check.name for check in found if not check.holds] == expected
