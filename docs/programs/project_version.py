"""The version of what is built: a tag of git says it, without one the newest release in CHANGELOG.md.

pyproject.toml has hatchling ask `version()`; hatch-vcs would call a clone without tags 0.1.dev1.

    python docs/programs/project_version.py          prints it
    python docs/programs/project_version.py v1.2.3   fails unless this is the release that all files say
"""

from __future__ import annotations

import re
import subprocess
import sys
from email.parser import HeaderParser
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def version(root: Path = ROOT) -> str:
    """Return the version of the project in this folder: a source archive, a clone, or neither."""
    return of_archive(root) or of_tag(root) or newest_release(root)


def of_archive(root: Path) -> str | None:
    """Return the version that a source archive was built with."""
    said = root / "PKG-INFO"
    return HeaderParser().parsestr(said.read_text(encoding="utf-8"))["Version"] if said.is_file() else None


def of_tag(root: Path) -> str | None:
    """Return the version of the newest tag `v1.2.3`; n commits after it, or with changes, that of the next one's development."""
    try:
        if _git(root, "rev-parse", "--show-prefix"):
            return None  # another project's clone around this folder
        tag, commits, commit = _git(root, "describe", "--tags", "--long", "--match", "v[0-9]*").rsplit("-", 2)
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):  # no git, no clone, no tag
        return None
    if commits == "0" and not changed:
        return tag[1:]
    following = re.sub(r"\d+$", lambda number: str(int(number[0]) + 1), tag[1:])
    return f"{following}.dev{commits}+{commit}{'.changed' if changed else ''}"


def newest_release(root: Path) -> str:
    """Return the version of the first release that stands in the changelog."""
    found = re.search(r"^## \[(\d[^]]*)\]", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError('CHANGELOG.md must have a heading "## [1.2.3] - date", got none.')
    return found[1]


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(root), *words], check=True, capture_output=True, text=True).stdout.strip()


def wrong_places(root: Path, tag: str) -> list[str]:
    """Return the sentences for what does not say the version of a tag."""
    citation = re.search(r"^version: (.+)$", (root / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    said = {
        "the tag": f"v{version(root)}",
        "CHANGELOG.md": f"v{newest_release(root)}",
        "CITATION.cff": f"v{citation[1]}" if citation else None,
    }
    return [f"{place} must say {tag}, got {what}." for place, what in said.items() if what != tag]


if __name__ == "__main__":
    wrong = wrong_places(ROOT, sys.argv[1]) if sys.argv[1:] else []
    sys.exit("\n".join(wrong)) if wrong else sys.stdout.write(f"{version()}\n")
