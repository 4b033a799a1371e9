"""How long work tells what it is doing: the two callbacks that everything which takes time accepts."""

from __future__ import annotations

from collections.abc import Callable

# Called with what is being done, how much of it is done, and how much there is. What is being done may carry figures
# of the moment after a colon, "Tuning the voice: loss 2.1": what stands before the colon names the work.
Progress = Callable[[str, int, int], None]
# Called with an automatic choice and its reason, or with what was found.
Note = Callable[[str], None]
