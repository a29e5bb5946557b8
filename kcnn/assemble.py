"""The one place where a recipe meets Keras: the three graphs, their compilation, the batches and the callbacks."""

import contextlib
from dataclasses import dataclass, field

import keras
import numpy as np

from kcnn.allocator import keep_freed_memory
from kcnn.augment.fuse import fuse
from kcnn.callbacks.average import AverageWeights
from kcnn.callbacks.best import KeepBest
from kcnn.callbacks.early_stopping import EarlyStopping
from kcnn.callbacks.finite import StopOnNaN
from kcnn.callbacks.history import RunHistory
from kcnn.callbacks.tensorboard import TensorBoardScalars
from kcnn.data.batches import EvaluationBatches, TrainingBatches
from kcnn.data.decode import cores
from kcnn.data.statistics import sample
from kcnn.errors import RecipeError
from kcnn.finetune import frozen, rate_factors
from kcnn.initial import initialize, undrawn
from kcnn.kernels import kernels
from kcnn.layers.direct import DirectModel
from kcnn.layers.dropout import PositionalDropout
from kcnn.layers.faster import faster
from kcnn.optim.schedules import LearningRateTable
from kcnn.pretrained.weights import Loaded
from kcnn.registry import AUGMENTATIONS, MODELS, OPTIMIZERS, SCHEDULES
from kcnn.schema import Recipe

LEARNED_FROM = 5000  # training images, for initial weights that are learned from images


@dataclass(frozen=True)
class Stage:
    """Epochs in which the same layers are trained, by an optimizer that is new when they begin.

    Attributes:
        first, last: Epochs, counted from 0; `last` is the first that is no longer its own.
        frozen: Layers whose weights and statistics stay as they are.
    """

    first: int
    last: int
    frozen: tuple = ()


@dataclass
class Training:
    """All that `model.fit` needs.

    Attributes:
        network: Pixels to logits, stock layers alone; the model that is trained and saved.
        model: The training graph around it, compiled for `stage`: augmentation, then the layers of `network` and
            auxiliary heads.
        batches: Training batches, a function of the step.
        validation: Validation batches, or None.
        rates: float32 array, the learning rate at each step of the training.
        stages: Of the training, one behind the other.
        recipe: What it was made from.
        loaded: What of the weights that it starts from was loaded, or None.
        constants: Weights of `network` that are trained in no stage.
        stage: The one that `model` is compiled for.
    """

    network: keras.Model
    model: keras.Model
    batches: TrainingBatches
    validation: "ValidationSequence | None"
    rates: np.ndarray
    stages: tuple
    recipe: Recipe
    loaded: Loaded | None = None
    stage: Stage | None = None
    constants: tuple = field(init=False)

    def __post_init__(self):
        self.constants = tuple(weight for weight in self.network.weights if not weight.trainable)

    def stage_of(self, epoch):
        """Return the stage that an epoch, counted from 0, belongs to; the last one for what is beyond the end."""
        return next((stage for stage in self.stages if epoch < stage.last), self.stages[-1])

    def enter(self, stage):
        """Compile `model` for a stage, unless it is; return whether it was not."""
        if stage is self.stage:
            return False
        for layer in {layer for each in self.stages for layer in each.frozen}:
            layer.trainable = layer not in stage.frozen
        for weight in self.constants:  # what a builder froze, Keras thaws with the layer
            weight.trainable = False
        recipe, begin = self.recipe, stage.first * self.batches.steps_per_epoch
        optimizer = _optimizer(recipe, self.rates[begin:])
        if recipe.finetune and recipe.finetune.layer_decay < 1:
            optimizer.factors = rate_factors(self.network, recipe.finetune.layer_decay)
        if recipe.precision == "mixed_float16":
            # Keras does so by the policy of the model, which is that of its layers here.
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        self.model.compile(
            optimizer=optimizer,
            loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=recipe.loss.label_smoothing),
            metrics=["accuracy"],
            # JAX has no other way; on TensorFlow XLA is expected to be slower on a CPU (docs/design.md, 15).
            jit_compile=keras.config.backend() == "jax",
        )
        self.stage = stage
        return True

    def feed(self, start=0):
        """Return what `model.fit` takes the batches from number `start` to the last from."""
        return kernels().feed(self.batches, start)

    def learning_rate(self, step):
        """Return the learning rate used at `step`, counted from 0 over the whole training."""
        return float(self.rates[min(step, len(self.rates) - 1)])


class ValidationSequence(keras.utils.PyDataset):
    """`EvaluationBatches` in the form that `fit` asks for."""

    def __init__(self, batches):
        super().__init__(workers=1 if batches.in_memory else cores())  # which decode ahead
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def assemble(recipe, dataset, weights=None):
    """Return the `Training` that a recipe describes on a dataset, ready for its first stage.

    Args:
        recipe: A recipe; what it says about the weights to start from has been done in `weights`.
        dataset: Its data, with training images at least.
        weights: The `kcnn.pretrained.Weights` to start from, or None, also where a checkpoint has them.

    Raises:
        RecipeError: An option does not suit the model, the augmentation, the images or the weights.
    """
    keras.utils.clear_session(free_memory=False)
    if kernels().KEEP_FREED_MEMORY:
        keep_freed_memory()
    whole = build_network(recipe, dataset, recipe.precision)
    initialize(whole, recipe.seed, lambda: sample(dataset.train, LEARNED_FROM))
    loaded = weights.load_into(whole, dataset.class_names) if weights else None
    in_pipeline, augmentations = build_augmentations(recipe)
    model = training_graph(whole, augmentations, recipe.seed)
    batches = TrainingBatches(
        dataset.train,
        len(dataset.class_names),
        recipe.batch_size,
        recipe.seed,
        recipe.epochs,
        transform=_chained([layer.transform for layer in in_pipeline]),
        mix_labels=_chained([layer.mix_labels for layer in augmentations if hasattr(layer, "mix_labels")]),
        class_weights=_class_weights(recipe.loss.class_weights, dataset),
    )
    rates = _rates(recipe, batches.steps_per_epoch)
    validation = None
    if dataset.validation is not None:
        held_out = EvaluationBatches(dataset.validation, len(dataset.class_names), recipe.batch_size)
        validation = ValidationSequence(held_out)
    network = without_auxiliary_heads(whole)
    # Auxiliary heads are no part of the depth that is frozen: no saved model has them to start from.
    stages = _stages(recipe, network, loaded)
    for stage in stages:
        _check_accumulation(recipe, (stage.last - stage.first) * batches.steps_per_epoch)
    training = Training(network, model, batches, validation, rates, stages, recipe, loaded)
    training.enter(training.stages[0])
    return training


def _stages(recipe, network, loaded):
    wanted = recipe.finetune
    if wanted is None or wanted.freeze is None:
        return (Stage(0, recipe.epochs),)
    layers = tuple(frozen(network, wanted.freeze))
    left = [layer.name for layer in layers if loaded and layer.name in loaded.left]
    if left:
        raise RecipeError(f"finetune.freeze: would freeze what was not loaded: {', '.join(left)}. {loaded}")
    border = wanted.unfreeze_epoch
    if border is None:
        return (Stage(0, recipe.epochs, layers),)
    return Stage(0, border, layers), Stage(border, recipe.epochs)


def build_network(recipe, dataset, precision="float32"):
    """Return the recipe's network, from pixels to logits; what `initialize` will draw at random is zero.

    Where it has auxiliary heads, their logits are outputs beside the first.
    """
    builder = MODELS.get(recipe.model.name)
    with _dtype_policy(precision), _as_recipe_error("model"), undrawn():
        return builder(
            dataset.image_shape,
            len(dataset.class_names),
            mean=dataset.mean,
            std=dataset.std,
            **recipe.model.options(),
        )


def without_auxiliary_heads(network):
    """Return what of a network leads to its first output, the logits that count once the training is over."""
    if len(network.outputs) == 1:
        return network
    return keras.Model(network.input, network.outputs[0], name=network.name)


def deployable(recipe, dataset, network):
    """Return the model that users load: pixels to probabilities, in float32, with the weights of `network`."""
    plain = without_auxiliary_heads(build_network(recipe, dataset))
    plain.set_weights(network.get_weights())
    probabilities = keras.layers.Softmax(dtype="float32", name="probabilities")(plain.output)
    return keras.Model(plain.input, probabilities, name=plain.name)


def build_augmentations(recipe):
    """Return the recipe's augmentations in order, each named from its place: those of the pipeline, the layers.

    Raises:
        RecipeError: An option is out of its range, or one of the input pipeline follows a layer of the graph.
    """
    in_pipeline, layers = [], []
    for place, component in enumerate(recipe.augment, 1):
        with _as_recipe_error(f"augment.{place - 1}"):
            layer_class = AUGMENTATIONS.get(component.name)
            layer = layer_class(**component.options(), seed=recipe.seed, name=f"augment{place}_{component.name}")
        if not getattr(layer, "in_pipeline", False):
            layers.append(layer)
        elif layers:
            raise RecipeError(
                f"augment.{place - 1}: {component.name} runs in the input pipeline, so it must come before "
                f"{layers[0].name.partition('_')[2]}, which is a layer of the graph."
            )
        else:
            in_pipeline.append(layer)
    return in_pipeline, layers


def training_graph(network, augmentations, seed):
    """Return the model that is trained: pixels and their positions, augmented, through the layers of `network`.

    It shares every weight of `network`. Dropout is replaced by a layer that draws its mask from the position, so that
    it drops the same values on each backend; what `faster` knows, by something faster that computes the same.
    """
    pixels = keras.Input(network.input_shape[1:], dtype="uint8", name="pixels")
    position = keras.Input((), dtype="int32", name="position")
    x = pixels
    with _as_recipe_error("augment"):
        for layer in fuse(augmentations):
            x = layer(x, position)
    x = keras.layers.Lambda(_to_float, dtype="float32", name="to_float")(x)
    twins = faster(network)

    def stand_in(layer):
        if isinstance(layer, keras.layers.Dropout | keras.layers.SpatialDropout2D):
            return PositionalDropout.of(layer, seed=seed)
        return twins.get(layer.name, layer)

    def call(layer, *args, **kwargs):
        if isinstance(layer, PositionalDropout):
            return layer(*args, position)
        kwargs.pop("mask", None)  # which a stock batch normalisation takes
        return layer(*args, **kwargs)

    # What keras.models.clone_model does, but with a second input beside the network's own.
    logits = network._run_through_graph([x], operation_fn=stand_in, call_fn=call)
    return DirectModel({"pixels": pixels, "position": position}, logits, name=f"{network.name}_training")


def _to_float(x):
    return keras.ops.cast(x, "float32")


def callbacks(recipe, training, run):
    """Return the callbacks of a training in the order in which they must run, and the `RunHistory` among them."""
    wanted = recipe.callbacks
    steps = training.batches.steps_per_epoch
    history = RunHistory(run.history, training.learning_rate, steps, len(training.batches.split))
    found = [StopOnNaN(training.learning_rate)]
    if wanted.ema:
        found.append(AverageWeights(wanted.ema.decay, wanted.ema.every))
    if wanted.best:
        found.append(KeepBest())
    if wanted.early_stopping:
        found.append(EarlyStopping(**wanted.early_stopping.model_dump()))
    found.append(history)
    if wanted.tensorboard:
        found.append(TensorBoardScalars(run.path / "tensorboard", training.learning_rate, steps))
    return found, history


def _optimizer(recipe, rates):
    with _as_recipe_error("optimizer"):
        options = recipe.optimizer.options()
        return OPTIMIZERS.get(recipe.optimizer.name)(**options | {"learning_rate": LearningRateTable(rates)})


def _check_accumulation(recipe, steps):
    """Raise `RecipeError` where so few steps end before the first update."""
    wanted = recipe.optimizer.options().get("accumulation_steps", 1)
    if steps < wanted:
        raise RecipeError(
            f"optimizer.accumulation_steps: {wanted:,} steps make an update, and there are {steps:,} to train the same "
            "weights in, so that none would ever change."
        )


def _rates(recipe, steps_per_epoch):
    with _as_recipe_error("schedule"):
        schedule = SCHEDULES.get(recipe.schedule.name)
        factors = schedule(recipe.epochs, steps_per_epoch, **recipe.schedule.options())
    if recipe.finetune and recipe.finetune.unfreeze_epoch:
        factors[recipe.finetune.unfreeze_epoch * steps_per_epoch :] *= recipe.finetune.unfreeze_factor
    return (recipe.optimizer.learning_rate * factors).astype("float32")


def _chained(functions):
    """Return one function `(values, *seen)` that applies `functions` in order, or None where there is none."""
    if not functions:
        return None

    def apply(values, *seen):
        for function in functions:
            values = function(values, *seen)
        return values

    return apply


def _class_weights(wanted, dataset):
    if wanted is None:
        return None
    names = dataset.class_names
    if wanted == "balanced":
        counts = np.bincount(dataset.train.labels, minlength=len(names))
        return counts.sum() / (len(names) * np.maximum(counts, 1))
    unknown = sorted(set(wanted) - set(names))
    if unknown:
        raise RecipeError(
            f"loss.class_weights: unknown classes: {', '.join(unknown)}. The data has: {', '.join(names)}."
        )
    return np.array([wanted.get(name, 1.0) for name in names])


@contextlib.contextmanager
def _dtype_policy(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@contextlib.contextmanager
def _as_recipe_error(place):
    """Turn the `ValueError` of a builder into a mistake of the recipe, told in one line."""
    try:
        yield
    except ValueError as error:
        raise RecipeError(f"{place}: {error}") from error
