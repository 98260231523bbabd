"""What a release says of itself, in every place alike; and the files by which a code forge tests and publishes it."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture(scope="module")
def program():
    spec = importlib.util.spec_from_file_location("project_version", ROOT / "docs/programs/project_version.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def git(folder, *words):
    settings = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *settings, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def clone(tmp_path):
    folder = tmp_path / "clone"
    folder.mkdir()
    (folder / "CHANGELOG.md").write_text("## [Unreleased]\n\n## [0.3.0] - 2027-01-01\n\n## [0.2.0] - 2026-11-28\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


@needs_git
def test_a_clone_without_tags_has_the_version_of_the_changelog(program, clone):
    assert program.version(clone) == "0.3.0"


@needs_git
def test_a_tag_is_the_version_and_what_follows_it_the_development_of_the_next(program, clone):
    from packaging.version import Version

    git(clone, "tag", "v0.3.1")
    assert program.version(clone) == "0.3.1"
    (clone / "CHANGELOG.md").write_text("## [9.9.9]\n")
    changed = program.version(clone)
    assert re.fullmatch(r"0\.3\.2\.dev0\+g[0-9a-f]+\.changed", changed)
    git(clone, "commit", "--quiet", "--all", "-m", "second")
    later = program.version(clone)
    assert re.fullmatch(r"0\.3\.2\.dev1\+g[0-9a-f]+", later)
    git(clone, "tag", "v0.4.0rc1")
    git(clone, "commit", "--quiet", "--allow-empty", "-m", "third")
    assert program.version(clone).startswith("0.4.0rc2.dev1+g")
    assert Version("0.3.1") < Version(changed) < Version(later) < Version("0.3.2")


@needs_git
def test_the_tags_of_a_clone_around_the_folder_are_not_ours(program, clone):
    git(clone, "tag", "v7.0.0")
    inner = clone / "unpacked"
    inner.mkdir()
    (inner / "CHANGELOG.md").write_text("## [0.2.0] - 2026-11-28\n")
    assert program.version(inner) == "0.2.0"


def test_a_source_archive_has_the_version_that_it_was_built_with(program, tmp_path):
    (tmp_path / "PKG-INFO").write_text(
        "Metadata-Version: 2.4\nName: topk-lightning\nVersion: 0.2.1.dev3+gabc\n\nText\n"
    )
    assert program.version(tmp_path) == "0.2.1.dev3+gabc"


def test_without_git_the_changelog_says_the_version(program, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert program.version(ROOT) == program.newest_release(ROOT)


def test_a_changelog_without_a_release_is_named(program, tmp_path):
    (tmp_path / "CHANGELOG.md").write_text("## [Unreleased]\n")
    with pytest.raises(ValueError, match=r'^CHANGELOG\.md must have a heading "## \[1\.2\.3\] - date", got none\.$'):
        program.newest_release(tmp_path)


def test_changelog_and_citation_say_one_version_and_one_date(program):
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest, date = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", text, re.MULTILINE)[0]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["version"], str(citation["date-released"])) == (newest, date)
    wrong = program.wrong_places(ROOT, "v0.0.1")
    assert wrong[1:] == [f"{place} must say v0.0.1, got v{newest}." for place in ("CHANGELOG.md", "CITATION.cff")]


def test_the_changelog_is_grouped_as_keep_a_changelog_asks():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text.index("## [Unreleased]") < text.index("## [0.2.0]")
    groups = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert set(groups) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    versions = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert re.findall(r"^\[(.+?)\]: https://", text, re.MULTILINE) == versions


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", [path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE/config.yml"]),
        ("dependabot", [GITHUB / "dependabot.yml"]),
        ("citation-file-format", [ROOT / "CITATION.cff"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_file_is_of_its_published_schema(schema, files):
    pytest.importorskip("check_jsonschema", reason="check-jsonschema is not installed")
    options = ["--builtin-schema", f"vendor.{schema}", "--force-filetype", "yaml"]
    command = [sys.executable, "-m", "check_jsonschema", *options, *map(str, files)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert files
    assert checked.returncode == 0, checked.stdout + checked.stderr


def jobs():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert workflow["permissions"] == {"contents": "read"}, path.name  # more is asked for by a job that needs it
        yield from workflow["jobs"].items()


def test_workflows_call_targets_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    runs = [step["run"] for _, job in jobs() for step in job["steps"] if "run" in step]
    called = [name for run in runs for name in re.findall(r"\bmake ([\w-]+)", run)]
    assert set(called) == {"test", "oldest", "wheels", "docs", "release-check"}
    for name in called:
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name


def test_workflows_test_each_system_and_python_and_publish_without_a_password():
    found = dict(jobs())
    matrix = found["test"]["strategy"]["matrix"]
    systems = {*matrix["os"], *(more["os"] for more in matrix["include"])}
    assert systems == {"ubuntu-latest", "macos-latest", "windows-latest"}
    assert found["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in "".join(path.read_text(encoding="utf-8") for path in WORKFLOWS)
    for name, job in found.items():
        assert job["timeout-minutes"] <= 150, name
