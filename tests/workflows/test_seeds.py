"""Several seeds of one recipe: how much of a result is luck."""

import json
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from kcnn import recipe
from kcnn.errors import Interrupted, UsageError
from kcnn.run import Run, Seeds
from kcnn.workflows.evaluate import evaluate
from kcnn.workflows.fit import fit
from kcnn.workflows.seeds import evaluate_seeds, fit_seeds, resume_seeds

FAST = ("epochs=2", "data.limit=200", "model.width=8", "model.depth=1")


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    seeds, spreads = fit_seeds(recipe.load("smoke", FAST), 3, out=tmp_path_factory.mktemp("seeds"), name="s")
    return seeds, spreads


def test_each_seed_is_the_run_that_it_would_be_alone(three, tmp_path):
    seeds, spreads = three
    alone = fit(recipe.load("smoke", (*FAST, "seed=2")), out=tmp_path)
    for one, other in zip(
        *(keras.saving.load_model(run.model).get_weights() for run in (seeds.run(2), alone)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    each = [json.loads(seeds.run(seed).metrics.read_text())["val_accuracy"] for seed in (0, 1, 2)]
    assert spreads["val_accuracy"].values == each
    assert len(set(each)) > 1
    plan = json.loads(seeds.plan.read_text())
    assert plan["seeds"] == [0, 1, 2]
    assert plan["metrics"]["val_accuracy"]["mean"] == pytest.approx(np.mean(each))


def test_all_are_evaluated_on_the_same_test_images(three):
    seeds, _ = three
    found, spreads = evaluate_seeds(seeds)
    assert [seed for seed, _ in found] == [0, 1, 2]
    assert spreads["accuracy"].values == [evaluate(seeds.run(seed)).metrics["accuracy"] for seed in (0, 1, 2)]
    assert json.loads(seeds.plan.read_text())["metrics"]["accuracy"]["std"] == spreads["accuracy"].std


def test_what_views_give_is_kept_beside_the_plain_figures(three, tmp_path, monkeypatch):
    seeds = Seeds(shutil.copytree(three[0].path, tmp_path / "s"))
    before = json.loads(seeds.plan.read_text())["metrics"]
    values = iter([0.5, 0.6, 0.7])

    def measured(run, tta, **options):
        return SimpleNamespace(metrics={"accuracy": next(values), "loss": 1.0}, data=None)

    monkeypatch.setattr("kcnn.workflows.seeds.evaluate", measured)
    _, spreads = evaluate_seeds(seeds, tta="flip")
    expected = before | {f"tta_flip_{key}": vars(spreads[key]) for key in ("accuracy", "loss")}
    assert json.loads(seeds.plan.read_text())["metrics"] == expected


def test_an_interruption_is_resumed_as_a_whole(three, tmp_path):
    class Stop(keras.callbacks.Callback):
        steps = 0

        def on_train_batch_end(self, batch, logs=None):
            import signal

            Stop.steps += 1
            if Stop.steps == 11:  # each seed has 8
                signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        fit_seeds(recipe.load("smoke", FAST), 3, out=tmp_path, name="s", extra_callbacks=[Stop()])
    assert "Seed 1: Stopped after step 3 of 8" in str(caught.value)
    assert str(caught.value).endswith(f"kcnn fit --resume {tmp_path}/s")
    seeds = Seeds.find(tmp_path / "s")
    spreads = resume_seeds(seeds)
    _, expected = three
    assert spreads == {key: expected[key] for key in ("val_accuracy", "val_loss")}


def test_the_plan_knows_its_backend_before_any_seed_does(three, tmp_path, kcnn):
    assert json.loads(three[0].plan.read_text())["backend"] == keras.config.backend()
    plan = json.loads(three[0].plan.read_text()) | {"backend": "no-such"}
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "seeds.json").write_text(json.dumps(plan))
    code, _, err = kcnn("fit", "--resume", tmp_path / "s")
    assert code == 2
    assert "'no-such' (on which the training began)" in err


def test_another_backend_is_refused_where_no_seed_has_a_checkpoint(three, tmp_path, monkeypatch):
    seeds = Seeds(shutil.copytree(three[0].path, tmp_path / "s"))
    seeds.run(2).remove()
    other = "jax" if keras.config.backend() != "jax" else "torch"
    Run(seeds.path).write_json(seeds.plan, json.loads(seeds.plan.read_text()) | {"backend": other})
    with pytest.raises(UsageError, match=f"begun on {other}, and would go on on {keras.config.backend()}"):
        resume_seeds(seeds)
    assert not seeds.run(2).path.exists()


def test_a_seed_that_was_killed_at_its_end_is_tidied(three, tmp_path):
    seeds = Seeds(shutil.copytree(three[0].path, tmp_path / "s"))
    last = seeds.run(2)
    shutil.rmtree(last.report)
    last.checkpoints.mkdir()
    resume_seeds(seeds)
    assert not last.checkpoints.exists()
    page = last.report / "index.html"
    assert page.is_file()
    page.write_text("evaluated")
    last.checkpoints.mkdir()
    resume_seeds(seeds)
    assert page.read_text() == "evaluated"


def test_a_seed_that_was_killed_as_it_began_is_made_again(three, tmp_path):
    """Its folder may hold half a file."""
    plan = json.loads(three[0].plan.read_text()) | {"seeds": [0, 1]}
    (tmp_path / "s" / "seed0").mkdir(parents=True)
    (tmp_path / "s" / "seed0" / ".recipe-x7.toml").write_text("")
    (tmp_path / "s" / "seeds.json").write_text(json.dumps(plan))
    resume_seeds(Seeds(tmp_path / "s"))
    assert (tmp_path / "s" / "seed0" / "model.keras").is_file()


def test_the_command_line(kcnn, three, tmp_path):
    seeds, spreads = three
    code, out, _ = kcnn("evaluate", seeds.path)
    assert code == 0
    assert "mean and standard deviation of 3 seeds" in out
    code, out, _ = kcnn("evaluate", seeds.path, "--json")
    assert len(json.loads(out)["metrics"]["accuracy"]["values"]) == 3
    code, out, _ = kcnn("fit", "--resume", seeds.path)
    assert code == 0
    assert f"{spreads['val_accuracy'].mean:.2%}" in out
    settings = [part for setting in FAST for part in ("--set", setting)]
    code, out, err = kcnn("fit", "smoke", *settings, "--seeds", 2, "--out", tmp_path)
    assert code == 0
    assert "Seed 1, 2 of 2" in err
    assert (tmp_path / "smoke-seeds" / "seed1" / "model.keras").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "smoke", "--seeds", "1"], "1 is not in the range"),
        (["fit", "--resume", "{seeds}", "--seeds", "3"], "leave --seeds out"),
        (["fit", "--resume", "{seeds}", "--epochs", "3"], "share one recipe"),
        (["predict", "{seeds}", __file__], "Name one, such as"),
    ],
)
def test_mistakes_in_the_call(kcnn, three, arguments, message):
    code, _, err = kcnn(*[argument.format(seeds=three[0].path) for argument in arguments])
    assert code == 2
    assert message in err


def test_a_missing_seed_is_told(kcnn, three, tmp_path):
    copy = shutil.copytree(three[0].path, tmp_path / "s")
    shutil.rmtree(copy / "seed1")
    code, _, err = kcnn("evaluate", copy)
    assert code == 2
    assert "holds 2 of 3 seeds" in err
