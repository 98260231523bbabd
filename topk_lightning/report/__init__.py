"""Figures of a training and of predictions."""
