"""One property, led by what the code does with its examples: ``python -m tests.fuzz._guided PROPERTY -max_total_time=600``.

atheris (``pip install atheris``, where there is a wheel for the Python) counts the lines that an example reaches and changes those
that reach new ones; hypothesis makes the examples from its bytes. Other words are options of libFuzzer.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Try the property until its time is over, or something fails: atheris ends the process."""
    import atheris

    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["topk_lightning", "zipfile", "csv", "PIL"]):
        from tests.fuzz.__main__ import properties

        law = properties()[name]
    atheris.Setup([sys.argv[0], *options], law.hypothesis.fuzz_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
