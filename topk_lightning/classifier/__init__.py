"""Any network, any loss and top-k metrics in one LightningModule; which class of a model each class of some data is.

Names are imported when they are first used; ``__init__.pyi`` lists them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
