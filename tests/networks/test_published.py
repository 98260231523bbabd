"""Published weights see images as they were trained to, by torchvision's and timm's own description."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from tests.data.drawings import class_folders, noise
from topk_lightning.data import EmojiDataModule, ImageFolderDataModule, ImageSizeWarning, Preprocessing
from topk_lightning.networks.published import published_class_names, published_preprocessing

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


@pytest.mark.parametrize(
    ("network", "weights", "size", "resize", "interpolation"),
    [
        ("resnet18", "DEFAULT", 224, 256, "bilinear"),
        ("resnet50", "IMAGENET1K_V1", 224, 256, "bilinear"),
        ("resnet50", "IMAGENET1K_V2", 224, 232, "bilinear"),
        ({"class_path": "efficientnet_b3", "init_args": {}}, "DEFAULT", 300, 320, "bicubic"),
        ("vit_b_16", "IMAGENET1K_SWAG_E2E_V1", 384, 384, "bicubic"),
    ],
)
def test_torchvision_describes_its_weights(network, weights, size, resize, interpolation):
    published = published_preprocessing(network, weights)
    assert published == {"image_size": size, "resize": resize, "interpolation": interpolation, **IMAGENET}


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "convnext_tiny", "efficientnet_b0"])
def test_an_image_is_prepared_as_torchvision_prepares_it(name):
    models = pytest.importorskip("torchvision").models
    theirs = models.get_model_weights(name).DEFAULT.transforms()
    ours = Preprocessing.from_dict(published_preprocessing(name, "DEFAULT")).evaluation_transform()
    picture = noise((40, 30)).resize((400, 300), Image.Resampling.BICUBIC)
    pixels = torch.tensor(list(picture.tobytes()), dtype=torch.uint8).view(300, 400, 3).permute(2, 0, 1)
    torch.testing.assert_close(ours(picture), theirs(pixels), rtol=0, atol=1.5 / 255 / 0.224)  # a step of rounding


def test_timm_describes_its_weights():
    timm = pytest.importorskip("timm")
    published = published_preprocessing("timm/vit_tiny_patch16_224", "DEFAULT")
    assert published["image_size"] == 224
    assert published["resize"] == int(224 / 0.9)
    assert published["interpolation"] == "bicubic"
    assert published["mean"] == [0.5, 0.5, 0.5]
    assert timm.is_model("vit_tiny_patch16_224")
    assert published_preprocessing("timm/vit_tiny_patch16_224", "weights.pt") is None


def test_a_file_a_network_and_no_weights_say_nothing():
    assert published_preprocessing("resnet18", "weights.pt") is None
    assert published_preprocessing("resnet18", None) is None
    assert published_preprocessing(torch.nn.Linear(1, 1), "weights.pt") is None
    assert published_preprocessing("small_cnn", "weights.pt") is None


PUBLISHED = {"image_size": 32, "resize": 40, "interpolation": "bicubic", **IMAGENET}


@pytest.mark.parametrize("is_set_up", [False, True])
def test_a_folder_is_prepared_for_them_before_and_after_its_setup(tmp_path, is_set_up):
    data = ImageFolderDataModule(class_folders(tmp_path, {"a": 4, "b": 4}), image_size=32)
    if is_set_up:
        data.setup()
    data.prepare_for(PUBLISHED)
    data.setup()
    assert data.preprocessing == Preprocessing.from_dict(PUBLISHED)
    assert next(iter(data.val_dataloader()))[0].shape == (2, 3, 32, 32)


@pytest.mark.parametrize("is_set_up", [False, True])
def test_images_take_the_size_of_the_weights_where_none_was_given(tmp_path, is_set_up):
    data = ImageFolderDataModule(class_folders(tmp_path, {"a": 4, "b": 4}))
    assert data.image_size == 224
    if is_set_up:
        data.setup()
    data.prepare_for(PUBLISHED)
    data.setup()
    assert data.preprocessing == Preprocessing.from_dict(PUBLISHED)
    assert next(iter(data.train_dataloader()))[0].shape == (4, 3, 32, 32)


def test_what_a_user_said_stays(tmp_path):
    root = class_folders(tmp_path, {"a": 4, "b": 4})
    data = ImageFolderDataModule(root, image_size=32, statistics=((0.5,) * 3, (0.5,) * 3))
    data.prepare_for(PUBLISHED)
    data.setup()
    assert data.preprocessing == Preprocessing(32, (0.5,) * 3, (0.5,) * 3)
    data = ImageFolderDataModule(root, image_size=32, resize="stretch")
    data.prepare_for(PUBLISHED)
    assert data.resize == "stretch"


def test_another_size_is_warned_of_and_drawings_are_not_cut_twice(tmp_path):
    data = EmojiDataModule(image_size=16, classes=2)
    with pytest.warns(ImageSizeWarning, match=r"^The weights were trained on images of 32×32 pixels, and get 16×16\.$"):
        data.prepare_for(PUBLISHED)
    data = EmojiDataModule(image_size=32, classes=2)
    data.prepare_for(PUBLISHED)
    assert (data.resize, data.interpolation) == ("crop", "bicubic")


def test_published_weights_name_their_classes():
    from torchvision.models import ResNet18_Weights

    assert published_class_names("resnet18", "DEFAULT") == ResNet18_Weights.DEFAULT.meta["categories"]
    assert published_class_names("resnet18", None) is None
    assert published_class_names("small_cnn", "DEFAULT") is None


def test_timm_names_the_classes_of_its_imagenet_weights():
    pytest.importorskip("timm")
    names = published_class_names("timm/resnet18", "DEFAULT")
    assert len(names) == 1000
    assert names[0].startswith("tench")
