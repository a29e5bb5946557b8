"""Layers that only the training graph holds: each stands in for a stock Keras layer and never reaches a saved file."""
