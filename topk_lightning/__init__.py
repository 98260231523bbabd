"""Train, measure and use image classifiers by their k best guesses, with PyTorch Lightning.

Names are imported when they are first used, so that the command line answers at once; ``__init__.pyi`` lists them.
"""

from importlib.metadata import version

import lazy_loader

__version__ = version("topk-lightning")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = sorted([*__all__, "__version__"])
