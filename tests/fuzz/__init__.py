"""Properties that hold for every input, tried for as long as one likes: ``make fuzz``; no part of ``make test``."""
