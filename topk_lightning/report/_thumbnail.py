"""Small pictures within the page."""

from __future__ import annotations

import base64
import io

from PIL import Image

__all__ = ["thumbnail"]

#: Longer side of a thumbnail: twice what a card shows, for fine screens.
_SIDE = 224


def thumbnail(picture: Image.Image) -> str:
    """Return a small copy as a data URI."""
    small = picture.copy()
    small.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"
