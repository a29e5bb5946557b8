"""The table of models: each name points to a builder that takes an image's shape and a number of classes."""

from kcnn.registry import Registry

MODELS = Registry(
    "model",
    {
        "simple_cnn": "kcnn.models.simple_cnn:simple_cnn",
        "residual_cnn": "kcnn.models.residual_cnn:residual_cnn",
        "resnet20": "kcnn.models.residual_cnn:resnet20",
        "resnet32": "kcnn.models.residual_cnn:resnet32",
        "resnet44": "kcnn.models.residual_cnn:resnet44",
        "resnet56": "kcnn.models.residual_cnn:resnet56",
        "resnet110": "kcnn.models.residual_cnn:resnet110",
        "plain20": "kcnn.models.residual_cnn:plain20",
        "plain56": "kcnn.models.residual_cnn:plain56",
        "plain110": "kcnn.models.residual_cnn:plain110",
        "wide_resnet16_8": "kcnn.models.wide_resnet:wide_resnet16_8",
        "wide_resnet28_10": "kcnn.models.wide_resnet:wide_resnet28_10",
        "resnet18": "kcnn.models.resnet:resnet18",
        "resnet34": "kcnn.models.resnet:resnet34",
    },
)
