"""Decisions from scores: how many names to show, what a person must see, which model is better, which labels look wrong.

Names are imported when they are first used, so that one of them does not bring torchmetrics along; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
