"""Per-image augmentation in integer arithmetic: bit for bit the same on TensorFlow, PyTorch and JAX."""

from kcnn.registry import Registry

AUGMENTATIONS = Registry(
    "augmentation",
    {
        "horizontal_flip": "kcnn.augment.flip:HorizontalFlip",
        "vertical_flip": "kcnn.augment.flip:VerticalFlip",
        "crop": "kcnn.augment.crop:Crop",
        "translate": "kcnn.augment.translate:Translate",
        "affine": "kcnn.augment.affine:Affine",
        "brightness": "kcnn.augment.brightness:Brightness",
        "contrast": "kcnn.augment.contrast:Contrast",
        "saturation": "kcnn.augment.saturation:Saturation",
        "hue": "kcnn.augment.hue:Hue",
        "cutout": "kcnn.augment.cutout:Cutout",
        "random_erasing": "kcnn.augment.random_erasing:RandomErasing",
        "trivial_augment": "kcnn.augment.trivial_augment:TrivialAugment",
        "rand_augment": "kcnn.augment.rand_augment:RandAugment",
        "mixup": "kcnn.augment.mixup:MixUp",
        "cutmix": "kcnn.augment.cutmix:CutMix",
        "keras_cv_rand_augment": "kcnn.augment.keras_cv:KerasCvRandAugment",
        "keras_cv_aug_mix": "kcnn.augment.keras_cv:KerasCvAugMix",
        "keras_cv_grid_mask": "kcnn.augment.keras_cv:KerasCvGridMask",
    },
)
