"""Callbacks that Keras lacks."""
