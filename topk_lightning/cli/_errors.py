"""Mistakes of a command's user, and which errors are answered with their sentence alone."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topk_lightning._checks import InvalidValueError, MissingFileError, UserError, must, shown

if TYPE_CHECKING:
    from topk_lightning.scores import Scores

__all__ = [
    "UsageError",
    "chain",
    "check_all_read",
    "check_given_files",
    "check_share",
    "nearest",
    "nothing_to_resume",
    "one_line",
    "usage",
    "user_sentence",
]


class UsageError(InvalidValueError):
    """A wrong word, value or class on the command line: the exit status is 2."""


#: Unreadable images that are named in one sentence.
_NAMED = 5

# Whose frames an error of a file may have passed: it is then about a file that the command itself reads or writes.
_OURS = frozenset(sys.stdlib_module_names) | {
    *("PIL", "fsspec", "jsonargparse", "lightning_fabric", "matplotlib", "numpy", "pytorch_lightning", "rich"),
    *("timm", "topk_lightning", "torch", "torchmetrics", "torchvision", "yaml"),
}

# Sentences of others that say all, each by the start of its text; what is shown is the first line.
_OTHERS = (
    "You selected an invalid",  # accelerator, strategy
    "Neither `tensorboard` nor `tensorboardX`",
    "Requirement '",  # a package that is not installed
    "The provided lr scheduler",
    "Found more than one stateful callback",
)

# Loggers whose own errors are about an account, a server or a connection.
_LOGGERS = frozenset(("comet_ml", "mlflow", "neptune", "wandb"))


@contextlib.contextmanager
def usage() -> Iterator[None]:
    """Within it, a wrong value is one of the command line's words."""
    try:
        yield
    except Exception as error:
        for cause in chain(error):
            sentence = None if isinstance(cause, OSError | ImportError) else _sentence(cause)
            if sentence is not None:
                raise UsageError(sentence) from error
        raise


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def user_sentence(error: BaseException) -> str | None:
    """Return what to say of an error that the user can mend: one of ours, a file, an option of Lightning's.

    None for anything else: that is a defect, whose traceback matters. So does that of an error in the user's own code.
    """
    wrapped = "jsonargparse" in _modules(error)  # the parser says what a class raised together with all that it tried
    for cause in chain(error) if wrapped else [error]:
        sentence = _sentence(cause)
        if sentence is not None:
            return sentence
    return None


def _sentence(error: BaseException) -> str | None:
    text = str(error)
    if isinstance(error, UserError) or type(error).__name__ == "MisconfigurationException":
        return text
    if isinstance(error, OSError):
        if not _modules(error) <= _OURS or "\n" in text:
            return None
        if error.filename is None or error.strerror is None:
            return text
        return must(repr(str(error.filename)), "be a file or folder that can be used", error.strerror)
    if text.startswith("Early stopping conditioned on metric"):
        return _not_logged(text)
    if text.startswith("Error(s) in loading state_dict"):
        return _other_network(text)
    is_loggers = type(error).__module__.partition(".")[0] in _LOGGERS
    return one_line(text) if is_loggers or text.startswith(_OTHERS) else None


def one_line(text: str) -> str:
    """Return the first line of a text that says something."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the remedy that names the nearest right word; nothing where none is near."""
    known = sorted(set(words))
    match = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    # A name without its capitals or dashes is near, whatever its length.
    plain = {re.sub("[-_]", "", name).lower(): name for name in known}
    name = match[0] if match else plain.get(re.sub("[-_]", "", word).lower())
    return f"Did you mean {name}?" if name else ""


def _modules(error: BaseException) -> set[str]:
    """Return the packages whose code an error came through."""
    modules, trace = set(), error.__traceback__
    while trace is not None:
        modules.add(str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0])
        trace = trace.tb_next
    return modules


def _not_logged(text: str) -> str:
    names = re.findall(r"`([^`]+)`", text)
    logged = ", ".join(f"'{name}'" for name in names[2:]) or "nothing"
    return must("monitor of EarlyStopping", "be a name that is logged", repr(names[0]), f"Logged are: {logged}.")


def _other_network(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()[1:] if line.strip()]
    first = lines[0][:200] if lines else one_line(text)
    return must("ckpt_path", "be a checkpoint of the same network", f"another one ({first.rstrip('. ')})")


def check_given_files(argument: str, paths: Sequence[str]) -> None:
    """Raise for a path that is not there, before anything large is imported."""
    for path in paths:
        if not os.path.exists(path):
            raise MissingFileError(must(argument, "be existing files or folders", repr(path)))


def check_all_read(*given: Scores | Mapping[str, str] | None) -> None:
    """Raise, now that all else is said, where images could not be read.

    Args:
        given: scores of images, or why an image could not be read, by its name.
    """
    unreadable: Iterator[Any] = (getattr(each, "unreadable", each) or {} for each in given)
    reasons = {name: reason for some in unreadable for name, reason in some.items()}
    if reasons:
        large = any("max_pixels" in reason for reason in reasons.values())
        remedy = "A yaml file as --data, with a larger max_pixels, lets larger ones in." if large else ""
        listed = ", ".join(map(shown, [*reasons][:_NAMED])) + (", …" if len(reasons) > _NAMED else "")
        images = f"{len(reasons)} image{'s' if len(reasons) > 1 else ''} that cannot be read: {listed}"
        raise InvalidValueError(must("data", "be readable", images, remedy))


def check_share(coverage: float, option: str = "--coverage") -> None:
    """Raise for a coverage that no sets can promise, before anything large is imported."""
    if not 0 < coverage < 1:
        remedy = "The right name is always among all names alone." if coverage == 1 else "Did you mean 0.9?"
        raise InvalidValueError(must(option, "lie between 0 and 1", coverage, remedy))


@contextlib.contextmanager
def has_device(name: str) -> Iterator[None]:
    """Within it, what is moved to a device says that this machine has none."""
    try:
        yield
    except (AssertionError, RuntimeError) as error:
        raise InvalidValueError(
            must("--device", "be one that works here", f"{name!r} ({one_line(str(error))})")
        ) from error


def check_max_pixels(number: int | None) -> None:
    """Raise for a bound that lets no image in, before anything large is imported."""
    if number is not None and number < 1:
        raise UsageError(must("--max-pixels", "be a whole number from 1 on", number))


def nothing_to_resume(folder: Path) -> FileNotFoundError:
    """Return the error for a resume where nothing was saved."""
    return MissingFileError(must("--resume", "find last.ckpt of an earlier run", f"none in {str(folder)!r}"))
