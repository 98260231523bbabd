"""What Windows and macOS need, as far as the source shows it: they are written for, and tested by the workflows alone."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
OF_UNIX_ALONE = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "termios", "tty"}
CALLS_OF_UNIX = re.compile(r"os\.(fork\w*|killpg|setsid|getuid|geteuid|getpgid|mkfifo|rename|getloadavg)$")
MODE = re.compile(r"[rwax][+b]*")


def sources():
    for folder in ("topk_lightning", "examples", "docs/programs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), ast.parse(path.read_text(encoding="utf-8"))


def opens_text(call, name):
    """Whether a call opens a file of text; what opens pictures, archives and sockets has other owners."""
    if name != "open" and (not name.endswith(".open") or name.startswith(("Image", "PIL", "os", "tarfile", "archive"))):
        return False
    words = [part.value for part in call.args if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    modes = [word for word in words if MODE.fullmatch(word)]
    of_descriptor = any(ast.unparse(part).startswith("os.open") for part in call.args[:1])
    return not of_descriptor and not any("b" in mode for mode in modes)


def test_text_names_its_encoding_and_nothing_of_unix_alone_is_called():
    found = []
    for path, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name, options = ast.unparse(node.func), {keyword.arg for keyword in node.keywords}
                text = name.endswith((".read_text", ".write_text")) or opens_text(node, name)
                if CALLS_OF_UNIX.match(name) or (text and "encoding" not in options):
                    found.append(f"{path}:{node.lineno}: {ast.unparse(node)[:80]}")
        for node in tree.body:  # within a function it is beside a branch for Windows
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imported = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                found += [f"{path}:{node.lineno}: import {name}" for name in imported & OF_UNIX_ALONE]
    assert found == []


def test_no_file_has_a_name_that_windows_refuses():
    reserved = re.compile(r'[<>:"|?*\\]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
    folders = [ROOT / name for name in ("topk_lightning", "tests", "docs", "examples")]
    paths = [path.relative_to(ROOT) for folder in folders for path in folder.rglob("*")]
    paths = [path for path in paths if "__pycache__" not in path.parts]
    assert [str(path) for path in paths if reserved.search(path.name)] == []
    assert len({str(path).lower() for path in paths}) == len(paths), "two names differ in case alone"
