"""What was seen of all images is kept: a second look opens changed files only."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.data.drawings import class_folders, fill, noise
from topk_lightning.data import ImageFolderDataModule, LeakageWarning, _look_cache


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return class_folders(tmp_path / "photos", {"cat": 6, "dog": 6})


def ready(root, **options):
    """Return a data module after setup, with how many of how many images were looked at anew."""
    data = ImageFolderDataModule(root, image_size=8, **options)
    seen = []
    data.on_look = lambda done, total: seen.append((done, total))
    data.setup()
    return data, seen


def test_a_second_look_opens_no_file_and_knows_the_same(root):
    first, seen = ready(root)
    assert seen == [(number, 12) for number in range(1, 13)]
    second, seen = ready(root)
    assert seen == []
    assert second.preprocessing == first.preprocessing
    assert second.digests("train").equal(first.digests("train"))


def test_files_that_were_changed_or_added_are_looked_at(root):
    ready(root)
    noise().save(root / "cat/03.png")
    os.utime(root / "dog/00.png", ns=(1, 1))
    fill(root / "eel", 3)
    data, seen = ready(root)
    assert seen == [(number, 15) for number in range(11, 16)]
    assert not data.duplicates


def test_another_size_is_another_look(root):
    ready(root)
    data = ImageFolderDataModule(root, image_size=16)
    seen = []
    data.on_look = lambda done, total: seen.append(done)
    data.setup()
    assert len(seen) == 12


def test_where_statistics_are_given_nothing_is_measured_and_identical_images_are_found_all_the_same(root):
    image = noise()
    for number in range(5):  # of six, so that they stand in two splits
        image.save(root / f"cat/{number:02}.png")
    for _ in range(2):
        with pytest.warns(LeakageWarning):
            data, seen = ready(root, statistics="imagenet")
        assert {look.pixels for of_split in data._looks().values() for look in of_split} == {0}
    assert seen == []
    with pytest.warns(LeakageWarning):
        measured, seen = ready(root)
    assert len(seen) == 12
    assert measured.digests("test").equal(data.digests("test"))
    assert measured.duplicates == data.duplicates


def test_a_bound_of_pixels_holds_for_files_that_were_seen_under_a_higher_one(root):
    ready(root)
    with pytest.raises(ValueError, match="must have at most 10 pixels"):
        ready(root, max_pixels=10)


def test_a_look_that_finds_nothing_new_writes_nothing(root, tmp_path):
    ready(root)
    (path,) = (tmp_path / "cache/topk-lightning/looks").iterdir()
    written = path.stat().st_mtime_ns, path.stat().st_ino
    ready(root, seed=3)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == written


def test_a_file_that_changes_while_it_is_looked_at_is_looked_at_again(root):
    data = ImageFolderDataModule(root, image_size=8)
    data.on_look = lambda done, total: os.utime(root / "dog/00.png", ns=(1, 1))
    data.setup()
    assert len(ready(root)[1]) == 1


def test_an_unreadable_file_is_looked_at_again_and_named_again(root):
    (root / "cat/00.png").write_text("text")
    for _ in range(2):
        with pytest.warns(UserWarning, match=r"^1 unreadable image was skipped: cat/00\.png\.$"):
            ready(root, on_bad_image="skip")


def test_a_cache_that_is_broken_or_cannot_be_written_is_none(root, tmp_path):
    ready(root)
    (path,) = (tmp_path / "cache/topk-lightning/looks").iterdir()
    for content in (b"", b"text", path.read_bytes()[:200]):
        path.write_bytes(content)
        assert len(ready(root)[1]) == 12
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert len(ready(root)[1]) == 12
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("a file where the folder should be")
    assert len(ready(root)[1]) == 12


def test_the_cache_lies_with_the_user_and_never_among_the_photos(root, tmp_path):
    before = sorted(root.rglob("*"))
    ready(root)
    assert sorted(root.rglob("*")) == before
    assert _look_cache.cache_folder() == tmp_path / "cache" / "topk-lightning"


def test_who_watches_the_look_hears_of_its_end_also_after_an_error(root):
    (root / "cat/00.png").write_text("text")
    data, seen = ImageFolderDataModule(root, image_size=8), []
    data.on_look = lambda done, total: seen.append((done, total))
    with pytest.raises(ValueError, match="must be a readable image"):
        data.setup()
    assert seen[-1] == (12, 12)
