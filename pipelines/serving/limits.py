"""How much a server takes before it refuses."""

from __future__ import annotations

HOST = "127.0.0.1"
LONGEST_QUESTION = 2000  # characters
MAX_BODY = 1 << 20  # bytes
MOST_WAITING = 16  # questions that may wait
