"""Data modules: the embedded emoji, and your own images; what reads image files, splits them and looks for leaks.

Names are imported when they are first used; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
