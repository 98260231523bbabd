"""What all tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import hypothesis
import matplotlib as mpl
import torch

from tests.browser import chromium, open_page, pytest_collection_modifyitems  # noqa: F401 (fixtures and a hook)

# Pictures are drawn without a screen. Two threads on the small tensors of tests cost more than they save, and much more
# where the cores are shared.
mpl.use("Agg")
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No example of a property fails for the time it took: machines are shared.
hypothesis.settings.register_profile("default", deadline=None)
# What the tests see of their images goes into no cache of the user's.
os.environ["XDG_CACHE_HOME"] = tempfile.mkdtemp(prefix="topk-lightning-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_CACHE_HOME"], ignore_errors=True)
