"""Draw the trace of a prediction, for the page about prediction.

Run with ``python docs/programs/draw_trace.py runs/demo/best.ckpt`` after ``topk-lightning demo``; it writes
``docs/assets/trace.png``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from topk_lightning import EmojiDataModule, layer_picture, trace_prediction
from topk_lightning.drawing import png_of

ASSETS = Path(__file__).parents[1] / "assets"
DRAWING = "dolphin"


def main(checkpoint: str) -> None:
    """Trace a drawing of the test vendor."""
    data = EmojiDataModule()
    data.setup("test")
    (picture,) = data.pictures("test", [data.class_names.index(DRAWING)])
    trace = trace_prediction(checkpoint, picture, k=3, target=DRAWING)
    (ASSETS / "trace.png").write_bytes(png_of(layer_picture(trace), dpi=90))


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "runs/demo/best.ckpt")
