"""Changes to the code that some test must notice: ``python -m tests.mutation``; no part of ``make test``."""
