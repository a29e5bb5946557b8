"""A network trained on six digits, then on four others of which there are few images."""

import json
import shutil

import numpy as np
import pytest
from few import FEW, FIRST, OTHERS, write
from resumable import At, Killed, assert_same, kill, loaded, weights

from kcnn import checkpoint, recipe
from kcnn.errors import UsageError
from kcnn.run import Run
from kcnn.workflows._prepare import prepare
from kcnn.workflows.evaluate import evaluate
from kcnn.workflows.fit import fit, resume

IMAGES = 5  # of each class
FINETUNE = ("finetune.freeze=features", "finetune.unfreeze_epoch=8", "finetune.unfreeze_factor=0.5")
MARGIN = 0.1  # of the accuracy on some 700 test images


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pretrained")
    first = recipe.load("smoke", ("epochs=8", "model.depth=3"), data=str(write(folder / "images", FIRST)))
    return fit(first, out=folder, name="six")


def test_fine_tuned_beats_from_scratch(pretrained, tmp_path):
    few = str(write(tmp_path / "images", OTHERS, train=IMAGES))
    said = []
    weights = f"model.weights={pretrained.path}"
    scratch = fit(recipe.load("smoke", FEW, data=few), out=tmp_path, name="scratch")
    finetuned = fit(
        recipe.load("smoke", (*FEW, weights, *FINETUNE), data=few), out=tmp_path, name="finetuned", say=said.append
    )
    accuracies = [evaluate(run).metrics["accuracy"] for run in (scratch, finetuned)]
    assert accuracies[1] > accuracies[0] + MARGIN
    assert said[0].startswith(f"Pixels are normalised as {pretrained.model} knows them: mean 0.")
    assert said[1:] == [
        f"32 of 34 weights loaded from {pretrained.model}. Not loaded: logits (6 classes there, 4 here).",
        "10 layers with weights are frozen, the last of them block3_norm1.",
        "From epoch 9 on all layers are trained.",
    ]
    used, known = (recipe.load(run.recipe).data for run in (finetuned, pretrained))
    assert np.allclose([used.mean, used.std], [known.mean, known.std], rtol=1e-6)


# --- Stopped and gone on with ---

STEPS = 4  # an epoch
STAGES = ("finetune.freeze=1", "finetune.unfreeze_epoch=2", "finetune.layer_decay=0.5")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return fit(loaded("epochs=1"), out=tmp_path_factory.mktemp("base"), name="base")


@pytest.fixture(scope="module")
def whole_finetuning(base, tmp_path_factory):
    return fit(loaded(f"model.weights={base.path}", *STAGES), out=tmp_path_factory.mktemp("whole"))


def stopped(tmp_path, base, at, *settings):
    """Return a run that was killed, and the file that it had its weights from."""
    file = shutil.copy(base.model, tmp_path / "base.keras")
    killed = loaded(f"model.weights={file}", *STAGES, *settings)
    with pytest.raises(Killed):
        fit(killed, out=tmp_path, name="run", extra_callbacks=[At(kill, **at)])
    return Run.open_unfinished(tmp_path / "run"), file


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        ({"step": 3}, 0),
        ({"validation": 1}, 0),
        ({"step": 2 * STEPS + 1}, 1000),
        ({"step": 2 * STEPS + 2}, 0),
    ],
    ids=["while frozen", "in the last validation while frozen", "at the border", "after it"],
)
def test_it_goes_on_exactly_and_without_the_file_of_weights(tmp_path, base, whole_finetuning, at, seconds):
    run, file = stopped(tmp_path, base, at, f"run.checkpoint_seconds={seconds}")
    file.unlink()
    step, said = checkpoint.latest(run.checkpoints).step, []
    resume(run, say=said.append)
    assert_same(run, whole_finetuning)
    assert any("are frozen" in each for each in said) == (step < 2 * STEPS)


def test_the_stages_made_a_difference(base, whole_finetuning, tmp_path):
    other = fit(loaded(f"model.weights={base.path}", "finetune.freeze=1"), out=tmp_path)
    frozen, trained = weights(other), weights(whole_finetuning)
    first = weights(base)
    assert all((one == two).all() for one, two in zip(frozen[:6], first[:6], strict=True))
    assert not all((one == two).all() for one, two in zip(trained[:6], first[:6], strict=True))
    assert json.loads(other.metrics.read_text())["trainable_parameters"] < sum(w.size for w in first)


def test_other_weights_are_refused(tmp_path, base, whole_finetuning):
    run, file = stopped(tmp_path, base, {"step": 3}, "run.checkpoint_seconds=0")
    known = json.loads(run.environment.read_text())["weights"]
    assert known["source"] == str(file)
    shutil.copy(whole_finetuning.model, file)
    with pytest.raises(UsageError, match=f"SHA-256 of the weights to start from: {known['sha256']} -> "):
        resume(run)


def test_a_run_that_is_not_there_is_one_line(kcnn):
    code, out, err = kcnn("fit", "smoke", "--set", "model.weights=saved_models/none")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("Error: model.weights: saved_models/none is not a run")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ((), "Pixels are normalised as "),
        (
            ("data.mean=[0.5]", "data.std=[0.1]"),
            "Pixels are normalised by the recipe's own mean and standard deviation. ",
        ),
    ],
)
def test_how_pixels_are_normalised_is_told(base, settings, told):
    said = []
    prepare(loaded(f"model.weights={base.path}", *settings), say=said.append)
    assert len(said) == 1
    assert said[0].startswith(told)


def test_the_same_numbers_need_no_word(base):
    known, said = recipe.load(base.recipe).data, []
    same = (f"data.mean={list(known.mean)}", f"data.std={list(known.std)}")
    prepare(loaded(f"model.weights={base.path}", *same), say=said.append)
    assert not said
