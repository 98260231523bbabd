"""Predictions for people: the k best classes with names and probabilities, from outputs or from images, and their trace.

Names are imported when they are first used; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
