"""How fast a backend was, and the cache of such measurements that `--backend auto` reads."""

import contextlib
import hashlib
import json
import statistics
import time
from dataclasses import dataclass

from kcnn import __version__, backend, cache
from kcnn.environment import machine
from kcnn.files import write_text


@dataclass(frozen=True)
class Speed:
    """One backend's speed at one precision.

    Attributes:
        backend, precision: Of what.
        import_seconds: Until Keras and the framework were imported.
        compile_seconds: What building and the first epoch take beyond a later one.
        step_seconds: A training step of a full batch, the median of the rounds.
        fastest_step_seconds, slowest_step_seconds: Of the rounds.
        images_per_second: While training, the median.
        evaluated_per_second: Images while validating, the median; None without validation.
        rest_seconds: Of an epoch beside its steps and its validation: checkpoint, history; the median.
        memory: The most that the process held, in MiB; None where the system does not say.
    """

    backend: str
    precision: str
    import_seconds: float
    compile_seconds: float
    step_seconds: float
    fastest_step_seconds: float
    slowest_step_seconds: float
    images_per_second: float
    evaluated_per_second: float | None
    rest_seconds: float
    memory: float | None

    @classmethod
    def of(cls, name, recipe, facts, answers):
        """Return the speed that the answers of `_speed.serve` amount to, the first round and at least one more."""
        first, *later = answers
        middle = {
            key: statistics.median([answer[key] or 0.0 for answer in later]) for key in ("train", "evaluate", "rest")
        }
        beyond = sum((first[key] or 0.0) - value for key, value in middle.items())
        steps = [answer["train"] / facts["trained"] * recipe.batch_size for answer in later]
        return cls(
            name,
            recipe.precision,
            import_seconds=facts["import"],
            compile_seconds=first["prepare"] + max(beyond, 0.0),
            step_seconds=statistics.median(steps),
            fastest_step_seconds=min(steps),
            slowest_step_seconds=max(steps),
            images_per_second=facts["trained"] / middle["train"],
            evaluated_per_second=facts["evaluated"] / middle["evaluate"] if facts["evaluated"] else None,
            rest_seconds=middle["rest"],
            memory=max((answer["memory"] for answer in answers if answer["memory"]), default=None),
        )

    def whole(self, recipe, train, validation):
        """Return the estimated seconds of `kcnn fit` with so many images, but for reading them."""
        epoch = train / self.images_per_second + self.rest_seconds
        if self.evaluated_per_second:
            epoch += validation / self.evaluated_per_second
        return self.import_seconds + self.compile_seconds + recipe.epochs * epoch


@dataclass(frozen=True)
class Measured:
    """What is known about a recipe on this machine: its speeds, its images, and the day of the measurement."""

    speeds: list
    train: int
    validation: int
    day: str


def remember(recipe, device, speeds, counts, failures):
    """Keep a measurement on all installed backends; where that cannot be written, it is lost."""
    key = _key(recipe, device)
    images = _read(key).get("images", {})
    images[_data(recipe)] = {"train": counts[0], "validation": counts[1], "limit": recipe.data.limit}
    document = {
        "key": key,
        "day": time.strftime("%Y-%m-%d"),
        "speeds": [vars(speed) for speed in speeds],
        "failures": failures,
        "images": images,
    }
    with contextlib.suppress(OSError):
        write_text(_path(key), json.dumps(document, indent=2) + "\n")


def known(recipe, device):
    """Return the `Measured` of a recipe, or None where it was not measured, or what was kept is damaged."""
    found = _read(_key(recipe, device))
    try:
        images = found["images"][_data(recipe)]
        limit, taken = recipe.data.limit, images["train"]
        if images["limit"] is not None and taken >= images["limit"] and not (limit and limit <= taken):
            return None  # there may be more images than were counted
        speeds = [Speed(**speed) for speed in found["speeds"]]
        if not speeds:
            return None
        return Measured(speeds, min(taken, limit or taken), images["validation"], found["day"])
    except (KeyError, TypeError):
        return None


def _key(recipe, device):
    """Return what decides the speed, as plain values: machine, versions, and of the recipe all but its length.

    Where the recipe leaves the shape of the images to the data, it is the data that decides.
    """
    path = recipe.data.absolute_path
    recipe = recipe.model_dump(mode="json")
    data = {key: recipe["data"][key] for key in ("image_size", "channels", "resize", "memory_limit")}
    if None in data.values():
        data |= {"name": recipe["data"]["name"], "path": path}
    kept = ("batch_size", "precision", "augment", "model", "finetune", "optimizer", "loss", "callbacks")
    versions = backend.versions()
    versions = {name: versions[name] for name in ("keras", "numpy", *backend.BACKENDS) if name in versions}
    own = {"data": data, "deterministic": recipe["run"]["deterministic"]}
    return {
        "machine": machine(),
        "device": device,
        "versions": {"kcnn": __version__, **versions},
        "recipe": {name: recipe[name] for name in kept} | own,
    }


def _data(recipe):
    """Return a name for the images, whatever is taken of them."""
    data = recipe.data
    return f"{data.absolute_path or data.name} validation={data.validation} test={data.test}"


def _path(key):
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
    return cache.folder("bench") / f"{digest}.json"


def _read(key):
    """Return what was kept under `key`; nothing where it is missing, damaged or another's."""
    try:
        found = json.loads(_path(key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = isinstance(found, dict) and found.get("key") == json.loads(json.dumps(key))
    return found if same and isinstance(found.get("images"), dict) else {}
