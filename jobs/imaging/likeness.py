"""placeholder"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jobs.imaging.thumbnails import thumbnail


def signature(image: Image.Image) -> NDArray[np.float32]:
    x = thumbnail(image).astype(np.float32)
    x -= x.mean()
    return x / max(1e-9, float(np.linalg.norm(x)))
