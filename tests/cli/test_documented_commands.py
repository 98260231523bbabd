"""Every command that README and docs show is one that the command line knows, with each of its options."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.data.drawings import class_folders
from topk_lightning.cli import COMMANDS, main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```(?:bash|console|text)\n(.*?)^```$", flags=re.M | re.S)
INLINE = re.compile(r"`!?(topk-lightning [^`]+)`")


def commands() -> dict[str, list[str]]:
    """Each command with the pages that show it."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        lines = [
            line.lstrip("$ ") for block in FENCED.findall(text) for line in block.replace("\\\n", " ").splitlines()
        ]
        for line in [*(line for line in lines if line.startswith("topk-lightning ")), *INLINE.findall(text)]:
            if "|" not in line and "…" not in line and shlex.split(line, comments=True)[1] in COMMANDS:
                found.setdefault(line, []).append(str(page.relative_to(ROOT)))
    return found


def test_the_pages_show_every_command():
    shown = {shlex.split(command)[1] for command in commands()}
    assert shown == set(COMMANDS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    class_folders(tmp_path / "photos", {"ant": 2, "bee": 2})
    (tmp_path / "photos.csv").write_text("path,label\nphotos/ant/0.png,ant\n")
    shutil.copytree(ROOT / "examples" / "configs", tmp_path / "examples" / "configs")
    return tmp_path


@pytest.mark.parametrize("word", sorted(COMMANDS))
def test_each_is_understood(word, folder, capsys):
    """None is wrong usage (2); without the files it names it ends in a sentence about one of them (1)."""
    for command, pages in commands().items():
        words = shlex.split(command, comments=True)[1:]
        if words[0] != word or words == [word]:
            continue
        words = ["examples/configs/emoji.yaml" if part == "FILE" else part for part in words]
        if words[1].startswith("--") and word not in ("demo", "fit") and words[1] not in ("--config", "--help"):
            # In a sentence, without the checkpoint.
            words.insert(1, "none.ckpt")
        if word == "demo":  # which would train
            words, options = ["demo", "--help"], [part for part in words if part.startswith("--")]
        if word == "fit" and "--help" not in words:
            words.append("--print_config")
        capsys.readouterr()
        try:
            status = main(words)
        except SystemExit as ended:
            status = ended.code
        said = capsys.readouterr()
        assert status in (0, 1), (command, pages, said.err)
        if word == "fit" and "--resume" not in words:
            assert status == 0, (command, pages, said.err)
        if word == "demo":
            assert all(option in said.out for option in options), command
