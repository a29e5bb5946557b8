"""kcnn: one recipe, three frameworks, image classifiers that can be checked."""

__version__ = "0.1.0"
