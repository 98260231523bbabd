"""Checks of the command line, and which errors are answered with their sentence alone."""

from __future__ import annotations

import re
from pathlib import Path

from topk_lightning._checks import InvalidValueError, MissingFileError, UserError, must

__all__ = ["check_checkpoint_file", "nothing_to_resume", "preprocessing_of_checkpoint", "user_sentence"]

# The form of every sentence that `must` writes, also as an item of the parser's list of what it tried.
_SENTENCE = re.compile(r"^(?:\s*- )?(\S.* must .+, got .+[.?])$", re.MULTILINE)


def user_sentence(error: BaseException) -> str | None:
    """Return what to say of an error that the user can mend: one of ours, a file, an option of Lightning's.

    None for anything else: that is a defect, whose traceback matters.
    """
    if isinstance(error, UserError | OSError) or type(error).__name__ == "MisconfigurationException":
        return str(error)
    if not _is_of_parser(error):
        return None
    # Of a class that cannot be built the parser writes the whole call, then "failed: " and our sentence.
    found = _SENTENCE.search(str(error).rpartition("failed: ")[2])
    return found and found[1]


def _is_of_parser(error: BaseException) -> bool:
    """Whether the parser of options raised it, about what it tried."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] == "jsonargparse"


def check_checkpoint_file(path: object) -> Path:
    """Return the path of a checkpoint that exists."""
    if path is None:
        raise InvalidValueError(must("ckpt_path", "be given for a test", None, "Pass --ckpt_path <file>."))
    if not Path(str(path)).is_file():
        raise MissingFileError(must("ckpt_path", "be an existing file", repr(str(path))))
    return Path(str(path))


def nothing_to_resume(folder: Path) -> FileNotFoundError:
    """Return the error for a resume where nothing was saved."""
    return MissingFileError(must("--resume", "find last.ckpt of an earlier run", f"none in {str(folder)!r}"))


def preprocessing_of_checkpoint(name: str, trained: object, given: object) -> ValueError:
    """Return the error for test images that would be prepared in another way than the model was trained with."""
    return InvalidValueError(
        must(
            f"data.{name}",
            f"be {trained!r}, as the checkpoint was trained",
            repr(given),
            "Leave it out: a test takes it from the checkpoint.",
        )
    )
