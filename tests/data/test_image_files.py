"""One finder of image files: what it enters, what it passes over, and what it says it left out."""

from __future__ import annotations

import os

import pytest

from topk_lightning.data import find_images, left_out_sentence


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def test_what_machines_leave_behind_is_passed_over_without_a_word(tmp_path):
    touch(
        tmp_path,
        "a.png",
        "._a.png",
        ".hidden.jpg",
        ".ipynb_checkpoints/a-checkpoint.png",
        "__MACOSX/a.png",
        "Thumbs.db",
    )
    assert find_images(tmp_path).names == ("a.png",)
    assert find_images(tmp_path).left_out == {}


def test_files_of_other_suffixes_are_counted_by_suffix(tmp_path):
    touch(tmp_path, "a.PNG", "b.jpg", "notes.txt", "deep/c.TXT", "deep/d.jpeg", "scan", "film.mov")
    images = find_images(tmp_path)
    assert images.names == ("a.PNG", "b.jpg", "deep/d.jpeg")
    assert images.paths == [tmp_path / name for name in images.names]
    assert images.left_out == {".mov": 1, ".txt": 2, "no suffix": 1}
    assert left_out_sentence(images.left_out, "photos") == (
        "4 files were left out of photos: 2 .txt, 1 .mov, 1 no suffix."
    )


def test_names_are_in_one_order_however_a_file_system_decomposes_accents(tmp_path):
    composed, decomposed = "caf\u00e9.png", "cafe\u0301b.png"
    touch(tmp_path, "cafz.png", composed, decomposed)
    assert find_images(tmp_path).names == ("cafz.png", composed, decomposed)


def test_linked_files_and_folders_are_followed(tmp_path):
    touch(tmp_path, "elsewhere/x.png", "elsewhere/deep/y.png", "photos/a.png")
    (tmp_path / "photos/more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/b.png").symlink_to(tmp_path / "elsewhere/x.png")
    assert find_images(tmp_path / "photos").names == ("a.png", "b.png", "more/deep/y.png", "more/x.png")


def test_a_linked_folder_itself_is_entered(tmp_path):
    touch(tmp_path, "photos/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    assert find_images(tmp_path / "link").names == ("a.png",)


def test_links_in_a_circle_end(tmp_path):
    touch(tmp_path, "photos/cat/a.png", "photos/dog/b.png")
    (tmp_path / "photos/cat/up").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/cat/self").symlink_to(tmp_path / "photos/cat")
    assert find_images(tmp_path / "photos/cat").names == ("a.png",)
    (tmp_path / "photos/cat/dogs").symlink_to(tmp_path / "photos/dog")
    (tmp_path / "photos/dog/cats").symlink_to(tmp_path / "photos/cat")
    assert find_images(tmp_path / "photos/cat").names == ("a.png", "dogs/b.png")


def test_a_link_to_itself_is_passed_over(tmp_path):
    (tmp_path / "a.png").touch()
    (tmp_path / "me").symlink_to(tmp_path / "me")
    assert find_images(tmp_path).names == ("a.png",)


def test_a_folder_is_entered_once_under_its_own_name(tmp_path):
    touch(tmp_path, "real/a.png")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    assert find_images(tmp_path).names == ("real/a.png",)


def test_a_broken_link_is_found_so_that_reading_names_it_and_a_pipe_is_not(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert find_images(tmp_path).names == ("gone.png",)


def test_heic_without_its_reader_says_how_to_read_it():
    assert left_out_sentence({".heic": 50, "no suffix": 2}, "photos") == (
        '52 files were left out of photos: 50 .heic, 2 no suffix. Run pip install "topk-lightning[heif]" to read HEIC.'
    )


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(ValueError, match=r"closed must be a folder that may be read, got no permission\.$"):
        find_images(tmp_path)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere must be a folder, got no such folder\.$"):
        find_images(tmp_path / "nowhere")
