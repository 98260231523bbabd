"""Files are written whole or not at all; archives of torch are read without their code and without hidden damage."""

from __future__ import annotations

import csv
import io
import os
import pickle
import re
import signal
import subprocess
import sys
import tarfile
import zipfile

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from topk_lightning._files import csv_text, read_archive, replacing, write_file

CONTENT = {"weight": torch.arange(100_000.0), "names": ["ant", "bee"], "k": (1, 3)}


def test_a_file_is_replaced_in_one_move_and_keeps_its_permissions(tmp_path):
    path = tmp_path / "table.csv"
    write_file(path, b"old")
    path.chmod(0o640)
    with replacing(path) as part:
        part.write_bytes(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path):
    write_file(tmp_path / "ours", b"")
    (tmp_path / "other").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_after_an_error_the_old_file_stands_and_nothing_is_left(tmp_path, error):
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"old")

    def write():
        with replacing(path) as part:
            part.write_bytes(b"ha")
            raise error

    with pytest.raises(type(error)):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_in_the_middle_of_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / "best.ckpt"
    path.write_bytes(b"old")
    script = (
        "import os, signal, sys; from topk_lightning._files import replacing\n"
        "with replacing(sys.argv[1]) as part:\n"
        "    part.write_bytes(b'ha'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", script, str(path)], env=os.environ)
    assert run.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


def read(path):
    return read_archive(path, "weights", "be a file of tensors", "Pass another.")


def refusal(path, kind=ValueError):
    with pytest.raises(kind) as raised:
        read(path)
    return str(raised.value)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(CONTENT, path)
    return path


def test_what_was_saved_is_read(archive):
    found = read(archive)
    assert torch.equal(found["weight"], CONTENT["weight"])
    assert (found["names"], found["k"]) == (CONTENT["names"], CONTENT["k"])


@pytest.mark.parametrize("seed", range(20))
def test_fifty_random_bytes_anywhere_in_the_weights_are_an_error_that_names_the_way_out(archive, seed):
    data = bytearray(archive.read_bytes())
    start = data.index(CONTENT["weight"].numpy().tobytes())
    generator = torch.Generator().manual_seed(seed)
    for place in torch.randint(start, start + 400_000, (50,), generator=generator).tolist():
        data[place] ^= 1 + place % 255
    archive.write_bytes(data)
    assert refusal(archive) == (
        f"weights must be an undamaged file, got {str(archive)!r}, whose '0' does not match its checksum. "
        "Copy or download it again, or take another one: its numbers cannot be trusted."
    )


@pytest.mark.parametrize("attributes", [0x10, 0x7F, 0xFF])
def test_a_tensor_that_is_marked_as_a_folder_is_damage(archive, attributes):
    """torch would return whatever stands in memory."""
    data = bytearray(archive.read_bytes())
    entry = data.rindex(b"/data/0", 0, data.index(b"/version", data.index(b"PK\x01\x02"))) - len("weights") - 46
    assert data[entry : entry + 4] == b"PK\x01\x02"
    data[entry + 38] = attributes  # DOS's, of the entry in the directory
    archive.write_bytes(data)
    assert "must be an undamaged file" in refusal(archive)


def test_a_file_cut_short_or_of_anything_else_is_named(archive, tmp_path):
    whole = archive.read_bytes()
    sentence = f"weights must be a file of tensors, got {str(archive)!r}. Pass another."
    for junk in (whole[:5000], whole[:-1], b"", b"PK", b"hello", b"\x80\x02", b"\x89PNG\r\n"):
        archive.write_bytes(junk)
        assert refusal(archive) == sentence
    there = tmp_path / "nowhere.pt"
    assert refusal(there, FileNotFoundError) == f"weights must be an existing file, got {str(there)!r}."
    assert refusal(tmp_path, FileNotFoundError) == f"weights must be an existing file, got {str(tmp_path)!r}."


def test_an_archive_without_checksums_is_read_with_one_line(archive):
    blank = io.BytesIO(archive.read_bytes())
    with zipfile.ZipFile(blank) as entries:
        for entry in entries.infolist():
            crc = entry.CRC.to_bytes(4, "little")
            blank = io.BytesIO(blank.getvalue().replace(crc, bytes(4)))
    archive.write_bytes(blank.getvalue())
    with pytest.warns(UserWarning, match="^weights '.*' holds no checksums: damage to its numbers is not noticed.$"):
        assert torch.equal(read(archive)["weight"], CONTENT["weight"])


def test_the_form_before_archives_is_read_with_one_line(archive):
    torch.save(CONTENT, archive, _use_new_zipfile_serialization=False)
    with pytest.warns(UserWarning, match="holds no checksums"):
        assert read(archive)["names"] == CONTENT["names"]


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_does_not_run(tmp_path, archive, zipped):
    mark = tmp_path / "mark"
    torch.save({**CONTENT, "more": Payload(mark)}, archive, _use_new_zipfile_serialization=zipped)
    assert refusal(archive) == f"weights must be a file of tensors, got {str(archive)!r}. Pass another."
    assert not mark.exists()


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\x00", b"\x1f\x8b\x08\x00" + bytes(600)])
def test_the_beginning_of_a_compressed_file_is_refused_in_one_line(start, archive):
    archive.write_bytes(start)
    with pytest.raises(ValueError, match=r"^model must be a checkpoint, got "):
        read_archive(archive, "model", "be a checkpoint")


def test_the_tar_form_of_before_2017_is_not_opened(tmp_path, archive):
    mark = tmp_path / "mark"
    with tarfile.open(archive, "w") as tar:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(Payload(mark))
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    assert re.match("weights must be a file of tensors", refusal(archive))
    assert not mark.exists()


def test_a_compressed_archive_is_refused_before_it_is_unpacked(archive):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as entries:
        entries.writestr("archive/data.pkl", bytes(10**8))
    assert archive.stat().st_size < 10**6
    assert re.match("weights must be a file of tensors", refusal(archive))


ODD = [
    "a\rb.png",
    "line\nfeed",
    "both\r\n",
    'quote "x"',
    "comma, y",
    "",
    " space ",
    "=1+1",
    "@SUM(1)",
    "+1",
    "-1",
    "é\u202e",
]


@given(st.lists(st.lists(st.one_of(st.sampled_from(ODD), st.text()), min_size=2, max_size=4), max_size=5))
def test_every_cell_of_a_csv_is_read_back_as_it_was(rows):
    text = csv_text(rows).encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass")
    assert list(csv.reader(io.StringIO(text, newline=""))) == rows


def test_a_cell_that_would_be_a_formula_gets_an_apostrophe_only_where_asked():
    rows = [["=1+1", "+1", "-1", "@SUM(1)", "\tx", "plain", -1]]
    assert csv_text(rows) == "=1+1,+1,-1,@SUM(1),\tx,plain,-1\n"
    assert csv_text(rows, spreadsheet_safe=True) == "'=1+1,'+1,'-1,'@SUM(1),'\tx,plain,-1\n"
