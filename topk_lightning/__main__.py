"""``python -m topk_lightning``: the same as the command ``topk-lightning``."""

import sys

from topk_lightning.cli import main

if __name__ == "__main__":
    sys.exit(main())
