"""What the unit tests share: one thread for each process, before torch is imported.

The networks here are so small that more threads only wait for each other, and for the processes beside them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
