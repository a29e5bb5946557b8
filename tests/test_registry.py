import pytest

from kcnn.errors import UsageError
from kcnn.registry import AUGMENTATIONS, MODELS, OPTIMIZERS, REQUIRED, _arguments, did_you_mean


def test_unknown_name_suggests_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'resnet20'"):
        MODELS.get("resnet_20")


def test_unknown_name_far_from_all_lists_them():
    with pytest.raises(UsageError, match=r"Known: .*simple_cnn"):
        MODELS.get("zzz")


def test_options_are_those_of_the_signature():
    import inspect

    for registry in (MODELS, OPTIMIZERS, AUGMENTATIONS):
        for name in registry.names():
            parameters = inspect.signature(registry.get(name)).parameters.values()
            annotated = {p.name: p.default for p in parameters if p.annotation is not p.empty}
            read = {o.name: o.default for o in registry.options(name).values()}
            read = {key: inspect.Parameter.empty if value is REQUIRED else value for key, value in read.items()}
            assert read == annotated


def test_did_you_mean_is_silent_about_strangers():
    assert did_you_mean("zebra", ["alpha", "beta"]) == ""


def test_what_args_say_is_read_whole():
    text = "A thing.\n\nArgs:\n    one: First: it\n        goes on.\n    two, three:\n        Below.\n"
    text += "\nReturns:\n    four: Not one."
    assert _arguments(text) == {"one": "First: it goes on.", "two": "Below.", "three": "Below."}
    assert _arguments("A thing.") == {}
