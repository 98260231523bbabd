"""The short form of ``fit``: a folder and a few words, written out as the options of Lightning's command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from topk_lightning._checks import must
from topk_lightning._checks.options import check_integer
from topk_lightning.cli._errors import UsageError, nearest, usage

__all__ = ["DEFAULT_MODEL", "FOLDER_DATA", "LONG", "FitHelp", "long_words"]

#: The short options of ``fit``: their long names, what a help calls their values ("": they have none), what they say.
OPTIONS: dict[str, dict[str, tuple[str, str, str]]] = {
    "model": {
        "network": ("model.network", "NAME", 'small_cnn, a torchvision network ("resnet18"), "timm/…", an import path'),
        "weights": ("model.weights", "NAME", "pretrained weights: DEFAULT, or a file"),
        "loss": ("model.loss", "NAME", "CrossEntropyLoss (default), SmoothTopKSVMLoss, … or an import path"),
        "k": ("model.k", "K", "the k of the top-k accuracies (default: 1, 3, 5)"),
        "lr": ("model.lr", "RATE", "learning rate (default: 0.001)"),
        "find-lr": ("find_lr", "", "look for a learning rate first, in a hundred steps"),
        "freeze-backbone-epochs": ("model.freeze_backbone_epochs", "N", "epochs in which only the last layer learns"),
    },
    "data": {
        "image-size": ("data.image_size", "PIXELS", "side of the images (default: that of the weights, or 224)"),
        "batch-size": ("data.batch_size", "N", "images a step (default: 32)"),
        "workers": (
            "data.num_workers",
            "N",
            "processes that load images (default: by their number and the processors)",
        ),
        "augment": ("data.augment", "NAME", "photos (default), randaugment, trivialaugment, drawings, none"),
        "balance": ("data.balance", "", "draw each class equally often, however many images it has"),
    },
    "training": {
        "epochs": ("trainer.max_epochs", "N", "passes through the training images (default: 30)"),
        "patience": ("trainer.callbacks.patience", "N", "end early after N epochs without a better validation loss"),
        "device": ("trainer.accelerator", "NAME", "auto (default), cpu, gpu or mps"),
        "precision": ("trainer.precision", "NAME", "16-mixed, bf16-mixed or 32 (default)"),
        "label-smoothing": (
            "model.label_smoothing",
            "SHARE",
            "share of each target spread over all classes (default: 0)",
        ),
        "mixup": ("model.mixup", "ALPHA", "mix pairs of images, such as 0.2 (default: 0, none)"),
        "cutmix": ("model.cutmix", "ALPHA", "put a part of one image into another, such as 1 (default: 0, none)"),
        "ema": ("model.ema", "DECAY", "moving average of the weights, such as 0.999 (default: 0, none)"),
        "clip": ("trainer.gradient_clip_val", "NORM", "largest norm of the gradients"),
        "seed": ("seed_everything", "N", "seed of weights, order and augmentation (default: 0)"),
    },
    "run": {
        "out": ("out", "FOLDER", "where the run is written (default: runs/NAME, NAME as the folder of images)"),
        "report": ("report", "BOOL", "test at the end and write report.html (default: true)"),
        "logger": ("logger", "NAME", "tensorboard, csv or wandb (offline): curves, k, figures and the report"),
        "show-batch": ("show_batch", "", "only write a picture of images as the network would see them"),
    },
}

#: The long name of each short option.
LONG = {short: long for group in OPTIONS.values() for short, (long, _, _) in group.items()}
# What people know by Lightning's names, without a dot.
_KNOWN = {long.rpartition(".")[2]: short for short, long in LONG.items()} | {"devices": "trainer.devices"}
# Options of Lightning's command line that have no dot.
_OTHERS = frozenset(("ckpt_path", "config", "data", "find_lr", "help", "logger", "model", "out", "print_config", "report", "seed_everything", "show_batch", "trainer", "version", "weights_only"))  # fmt: skip

# What chooses a class.
_CHOICES = ("--data", "--model", "--data.class_path", "--model.class_path")

FOLDER_DATA = "topk_lightning.data.ImageFolderDataModule"
DEFAULT_DATA = "topk_lightning.data.EmojiDataModule"
DEFAULT_MODEL = "topk_lightning.classifier.TopKClassifier"


def long_words(words: Sequence[str]) -> list[str]:
    """Return the words of ``fit`` with its folder and short options written out.

    Args:
        words: those after ``fit``.

    Raises:
        ValueError: an option that does not exist, a second folder.

    Examples:
        >>> long_words([".", "--epochs", "5"])[:4]
        ['--model', 'topk_lightning.classifier.TopKClassifier', '--data',
        'topk_lightning.data.ImageFolderDataModule']
        >>> long_words([".", "--epochs", "5"])[4:]
        ['--data.root', '.', '--trainer.max_epochs', '5']
    """
    parser = _parser()
    short, rest = parser.parse_known_args(list(words))
    # What the parser does not know: one folder, and options of Lightning's command line with their values.
    folder, others = _folder(rest)
    for word in others:
        _check_option(word)
    configured = _configured(others)
    # First of all, since options that stand before a yaml file are theirs.
    defaults = [] if "model" in configured else ["--model", DEFAULT_MODEL]
    written: list[str] = []
    if folder is not None and not _is_embedded(folder):
        written += ["--data", FOLDER_DATA, "--data.root", folder]
    elif folder is not None or not configured & {"data"}:
        rooted = any(word.partition("=")[0] == "--data.root" for word in others)
        (written if folder is not None else defaults).extend(["--data", FOLDER_DATA if rooted else DEFAULT_DATA])
    for name, least in (("epochs", 1), ("patience", 1), ("seed", 0)):
        if (given := getattr(short, name)) is not None and given.lstrip("-").isdigit():
            with usage():
                check_integer(f"--{name}", int(given), minimum=least)
    for name, value in vars(short).items():
        if value is None or name in ("patience", "resume"):
            continue
        long = LONG[name.replace("_", "-")]
        values = ["true"] if value is True else value if isinstance(value, list) else [value]
        written += [f"--{long}", values[0] if len(values) == 1 else f"[{','.join(values)}]"]
    # After a yaml file, which they change; before what is written out by hand.
    config = [index + 2 for index, word in enumerate(others) if word in ("--config", "-c")]
    start = max(config, default=0)
    chosen, others[start:] = _choices(others[start:])
    result = [*defaults, *others[:start], *chosen, *written, *others[start:]]
    if short.patience is not None:
        result += ["--trainer.callbacks+", "EarlyStopping", "--trainer.callbacks.monitor", "val/loss"]
        result += ["--trainer.callbacks.patience", short.patience]
    return result + (["--ckpt_path", "last"] if short.resume else [])


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        word = message.partition("argument ")[2].partition(":")[0]
        if "expected" in message and word:
            raise UsageError(must(word.strip(), "be followed by its value", "none"))
        raise UsageError(message)


def _parser() -> _Parser:
    parser = _Parser(prog="topk-lightning fit", add_help=False, allow_abbrev=False)
    for group in OPTIONS.values():
        for name, (_, value, _) in group.items():
            if value:
                parser.add_argument(f"--{name}", nargs="+" if name == "k" else None)
            else:
                parser.add_argument(f"--{name}", action="store_const", const=True)
    parser.add_argument("--resume", action="store_true")
    return parser


def _folder(rest: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the folder among words, and the others: a word that follows an option without "=" is its value."""
    folder, others, after_option = None, [], False
    for word in rest:
        is_option = word.startswith("-") and not word.lstrip("-").replace(".", "", 1).isdigit()
        if is_option or after_option:
            others.append(word)
        elif folder is None:
            folder = word
        else:
            raise UsageError(must("fit", "be given one folder", f"{folder!r} and {word!r}"))
        after_option = is_option and "=" not in word and not word.startswith("--print_config")
    if folder is not None and not _is_embedded(folder) and not Path(folder).is_dir():
        is_table, is_file = Path(folder).suffix.lower() == ".csv", Path(folder).is_file()
        if not (is_table and is_file):
            wanted = "be an existing folder" + " or csv table" * (is_table or is_file)
            raise UsageError(must("the folder of images", wanted, repr(folder)))
    return folder, others


def _is_embedded(folder: str) -> bool:
    return folder == "emoji" and not Path(folder).exists()


def _check_option(word: str) -> None:
    if not word.startswith("--"):
        return
    name = word[2:].partition("=")[0].rstrip("+")
    head = name.partition(".")[0]
    if head not in _OTHERS:
        same = f"Did you mean --{_KNOWN[name]}?" if name in _KNOWN else ""
        remedy = same or nearest(f"--{name}", [f"--{known}" for known in (*LONG, *_OTHERS, "resume")])
        raise UsageError(must(f"--{name}", "be an option of fit", "an unknown one", remedy or "fit --help lists them."))


def _choices(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the words that choose a class of data or model, which stand before its options, and the others."""
    chosen: list[str] = []
    others: list[str] = []
    waits = False  # for the value of a choice
    for word in words:
        name, equals, _ = word.partition("=")
        is_choice = name in _CHOICES
        (chosen if is_choice or waits else others).append(word)
        waits = is_choice and not equals
    return chosen, others


def _configured(words: Sequence[str]) -> set[str]:
    """Return which of "data" and "model" are chosen by an option or in a yaml file."""
    seen: set[str] = set()
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in _CHOICES:
            seen.add(name[2:].partition(".")[0])
        elif name in ("--config", "-c"):
            seen |= _chosen_in(value if equals else next(iter(words[index + 1 :]), ""))
    return seen


def _chosen_in(path: str) -> set[str]:
    import yaml

    try:
        content: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return set()  # the parser has a sentence for it
    content = content.get("fit", content) if isinstance(content, dict) else {}
    return {name for name in ("data", "model") if isinstance(content, dict) and content.get(name)}


class FitHelp:
    """The help of ``fit`` on one screen."""

    def __str__(self) -> str:
        lines = [
            "usage: topk-lightning fit FOLDER [options]",
            "",
            "Train a classifier on a folder of images, one folder a class; test it and write its report into runs/.",
        ]
        for group, options in OPTIONS.items():
            lines += ["", f"{group}:"]
            lines += [f"  {f'--{name} {value}':<28}{meaning}" for name, (_, value, meaning) in options.items()]
        lines += [
            f"  {'--resume':<28}go on where the newest run of this name was stopped",
            "",
            "  FOLDER may be a csv table of path,label,split, or emoji, the drawings in the package. --print_config writes all options as yaml;",
            "  --config FILE reads them, and any of them may be given (--trainer.accumulate_grad_batches 4); fit --help all lists them.",
            "",
        ]
        return "\n".join(lines)
