"""The same recipe with several seeds: how much of a result is luck."""

import keras

from kcnn import recipe as recipes
from kcnn.errors import Interrupted, RunError, UsageError
from kcnn.metrics.spread import spread
from kcnn.pretrained import located
from kcnn.run import DEFAULT_PARENT, Run, Seeds
from kcnn.workflows._plan import read_plan
from kcnn.workflows.evaluate import evaluate, with_prefix
from kcnn.workflows.fit import fit, resume
from kcnn.workflows.report import write_report


def fit_seeds(recipe, count, *, out=DEFAULT_PARENT, name=None, stem=None, **options):
    """Train `recipe` with `count` seeds, from its own upwards; return the `Seeds` and {metric: `Spread`}.

    Args:
        recipe: What `kcnn.recipe.load` returned.
        count: How many, 2 or more.
        out, name, stem: As for `fit`; the folder holds one run a seed.
        **options: Passed on to `fit`.
    """
    data = recipe.data.model_copy(update={"path": recipe.data.absolute_path})
    recipe = located(recipe.model_copy(update={"data": data}))
    made = Run.create(out, name) if name else Run.create_unique(out, f"{stem or recipe.data.name}-seeds")
    seeds = Seeds(made.path)
    plan = {
        "seeds": [recipe.seed + index for index in range(count)],
        "recipe": recipes.to_toml(recipe),
        "backend": keras.config.backend(),
    }
    made.write_json(seeds.plan, plan)
    try:
        return seeds, _train(seeds, **options)
    except BaseException:
        if not any(seeds.path.glob("seed*/")):
            made.remove()
        raise


def resume_seeds(seeds, *, force=False, **options):
    """Finish the seeds that are not, as if nothing had happened; return {metric: `Spread`}.

    Raises:
        UsageError: They were begun on another backend, and `force` is not given.
    """
    began, now = read_plan(seeds)[2], keras.config.backend()
    if began and began != now:
        if not force:
            raise UsageError(
                f"The seeds of {seeds.path} were begun on {began}, and would go on on {now}. Give back that backend, "
                "or let --force mix them."
            )
        made = Run(seeds.path)
        made.write_json(seeds.plan, made.read_json(seeds.plan) | {"backend": now})  # from here on
    return _train(seeds, force=force, **options)


def _train(seeds, *, force=False, say=lambda message: None, **options):
    recipe, planned, _ = read_plan(seeds)
    _check_not_numbers_alone(seeds, planned)
    for number, seed in enumerate(planned, 1):
        run = seeds.run(seed)
        if run.model.is_file():
            if run.checkpoints.is_dir():  # it was killed at its very end
                run.remove_checkpoints()
            if not (run.report / "index.html").is_file():  # likewise
                write_report(run)
            continue
        say(f"Seed {seed}, {number} of {len(planned)}")
        try:
            if run.recipe.is_file():
                resume(run, force=force, say=say, **options)
            else:
                if run.path.exists():
                    with run.lock():
                        run.remove_half_done()
                    run.path.rmdir()  # what a process left that was killed as it made the folder
                fit(recipe.model_copy(update={"seed": seed}), out=seeds.path, name=run.name, say=say, **options)
        except Interrupted as error:
            raise Interrupted(f"Seed {seed}: {error.where}", seeds.resume_command) from error
        except KeyboardInterrupt:
            if number == 1 and not run.path.exists():
                raise
            raise Interrupted(f"Stopped before seed {seed} began.", seeds.resume_command) from None
    metrics = [run.read_json(run.metrics) for run in runs(seeds)]
    found = {
        key: spread([each[key] for each in metrics], share="accuracy" in key)
        for key in ("val_accuracy", "val_loss")
        if all(key in each for each in metrics)
    }
    _keep(seeds, found)
    return found


def evaluate_seeds(seeds, *, progress=None, **options):
    """Return [(seed, `Evaluation`)] and {metric: `Spread`}; options are those of `evaluate`."""
    found = [(int(run.name.removeprefix("seed")), evaluate(run, progress=progress, **options)) for run in runs(seeds)]
    spreads = {
        key: spread([one.metrics[key] for _, one in found], share=key == "accuracy") for key in ("accuracy", "loss")
    }
    if options.get("split", "test") == "test" and all(one.data is None for _, one in found):
        _keep(seeds, with_prefix(spreads, options.get("tta")))
    return found, spreads


def runs(seeds):
    """Return the finished runs in the order of their seeds; raise `RunError` where fewer than two are."""
    _, planned, _ = read_plan(seeds)
    _check_not_numbers_alone(seeds, planned)
    found = [seeds.run(seed) for seed in planned if seeds.run(seed).model.is_file()]
    if len(found) < len(planned):
        raise RunError(
            f"{seeds.path} holds {len(found)} of {len(planned)} seeds. Train the rest with: {seeds.resume_command}"
        )
    return found


def _check_not_numbers_alone(seeds, planned):
    for seed in planned:
        seeds.run(seed).check_not_numbers_alone()


def _keep(seeds, spreads):
    made = Run(seeds.path)
    plan = made.read_json(seeds.plan)
    plan["metrics"] = plan.get("metrics", {}) | {key: vars(value) for key, value in spreads.items()}
    made.write_json(seeds.plan, plan)
