"""predict_topk: images of every kind, from a checkpoint or a model."""

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

pytest.importorskip("torchvision")

from PIL import Image

from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import BadImageWarning, LeftOutWarning, Preprocessing
from topk_lightning.networks import SmallCNN
from topk_lightning.networks.pretrained import load_weights
from topk_lightning.prediction import TrainedModel, list_images, predict_topk, topk_predictions, trace_prediction

NAMES = ["red", "green", "blue"]
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
PREPROCESSING = Preprocessing(16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
]


class MeanColour(nn.Module):
    """Its logits are the means of the channels, so that the colour of an image is its class."""

    def __init__(self, scale: float = 4.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(images))
        return self.scale * images.mean((2, 3))


@pytest.fixture
def classifier():
    return TopKClassifier(MeanColour(), class_names=NAMES, preprocessing=PREPROCESSING.to_dict())


@pytest.fixture
def folder(tmp_path):
    for number, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        path = tmp_path / "images" / ("deep" if number else "") / f"{3 - number}_{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 20), colour).save(path)
    (tmp_path / "images" / "._3_red.png").write_text("no image")
    return tmp_path / "images"


def best(predictions):
    return [row[0].label for row in predictions]


def test_one_file_gives_one_tuple(classifier, folder):
    row = predict_topk(classifier, folder / "3_red.png", k=2)
    assert isinstance(row, tuple)
    total = torch.tensor([4.0, -4.0, -4.0]).softmax(0)
    assert [(p.label, pytest.approx(p.probability)) for p in row] == [
        ("red", total[0].item()),
        ("green", total[1].item()),  # of the tie with blue, the lower index
    ]


def test_a_folder_is_searched_recursively_in_sorted_order(classifier, folder):
    assert [path.name for path in list_images(folder)] == ["3_red.png", "1_blue.png", "2_green.png"]
    assert best(predict_topk(classifier, folder, k=1)) == ["red", "blue", "green"]
    assert best(predict_topk(classifier, str(folder / "deep"), k=1)) == ["blue", "green"]


def test_files_that_are_no_images_are_left_out_with_a_word(classifier, folder):
    (folder / "notes.txt").write_text("no image")
    with pytest.warns(LeftOutWarning, match=rf"^1 file was left out of {folder}: 1 \.txt\.$"):
        assert len(predict_topk(classifier, folder, k=1)) == 3


def test_lists_mix_paths_folders_pictures_and_tensors(classifier, folder):
    picture = Image.new("RGB", (30, 30), COLOURS[1])
    prepared = PREPROCESSING.evaluation_transform()(Image.new("RGB", (9, 9), COLOURS[2]))
    pixels = torch.zeros(3, 30, 20, dtype=torch.uint8)
    pixels[0] = 255
    given = [folder / "3_red.png", str(folder / "deep"), picture, prepared, pixels]
    expected = ["red", "blue", "green", "green", "blue", "red"]
    assert best(predict_topk(classifier, given, k=1)) == expected
    assert best(predict_topk(classifier, (image for image in given), k=1, batch_size=2)) == expected
    assert predict_topk(classifier, [], k=1) == []


def test_one_picture_or_tensor_gives_one_tuple_and_a_batch_a_list(classifier):
    picture = Image.new("RGBA", (30, 30), (0, 0, 255, 255))
    assert predict_topk(classifier, picture, k=1)[0].label == "blue"
    batch = torch.eye(3).view(3, 3, 1, 1).expand(3, 3, 8, 8)
    assert predict_topk(classifier, batch[1], k=1)[0].label == "green"
    assert best(predict_topk(classifier, batch, k=1)) == NAMES
    assert best(predict_topk(classifier, batch[:1], k=1)) == ["red"]


def test_images_are_read_batch_by_batch(classifier, monkeypatch):
    read = []

    def pictures():
        for number in range(7):
            read.append(number)
            yield Image.new("RGB", (16, 16), COLOURS[number % 3])

    seen = []
    forward = MeanColour.forward
    monkeypatch.setattr(MeanColour, "forward", lambda self, x: seen.append(len(read)) or forward(self, x))
    assert best(predict_topk(classifier, pictures(), k=1, batch_size=3)) == [NAMES[n % 3] for n in range(7)]
    assert classifier.network.sizes == [3, 3, 1]
    assert seen == [4, 7, 7]  # one image ahead, never all


def test_prepared_tensors_of_different_sizes_keep_their_order(classifier):
    sizes = [8, 8, 12, 8]
    images = [torch.zeros(3, s, s) + torch.eye(3)[n % 3].view(3, 1, 1) for n, s in enumerate(sizes)]
    assert best(predict_topk(classifier, images, k=1)) == ["red", "green", "blue", "red"]
    assert classifier.network.sizes == [2, 1, 1]


def test_each_module_gets_its_own_mode_back(classifier):
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network[1].eval()
    before = network[0].running_mean.clone()
    predict_topk(network, torch.rand(4, 3, 8, 8), k=1)
    assert [module.training for module in network] == [True, False, True, True]
    assert torch.equal(network[0].running_mean, before)
    with pytest.raises(ValueError, match="k must be at most"):
        predict_topk(network, torch.rand(4, 3, 8, 8), k=9)
    assert network.training


def saved(tmp_path, classifier, datamodule=None):
    trainer = pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    data = DataLoader(TensorDataset(torch.rand(6, 3, 16, 16), torch.arange(6) % 3), batch_size=6)
    trainer.fit(classifier, data)
    trainer.save_checkpoint(tmp_path / "model.ckpt")
    return tmp_path / "model.ckpt"


@pytest.mark.parametrize("as_text", [True, False])
def test_a_checkpoint_alone_is_enough(tmp_path, folder, as_text):
    classifier = TopKClassifier(SmallCNN(3, width=2), class_names=NAMES, preprocessing=PREPROCESSING.to_dict())
    path = saved(tmp_path, classifier)
    rows = predict_topk(str(path) if as_text else path, folder, k=3)
    images = torch.stack([PREPROCESSING.evaluation_transform()(Image.open(file)) for file in list_images(folder)])
    with torch.no_grad():
        expected = topk_predictions(classifier.eval()(images), NAMES, 3, input="logits")
    assert [[p.label for p in row] for row in rows] == [[p.label for p in row] for row in expected]
    for row, other in zip(rows, expected, strict=True):
        assert [p.probability for p in row] == pytest.approx([p.probability for p in other], abs=1e-6)


def test_a_network_without_a_name_is_passed(tmp_path, folder):
    path = saved(tmp_path, TopKClassifier(nn.Sequential(MeanColour()), 3, preprocessing=PREPROCESSING.to_dict()))
    with pytest.raises(ValueError, match=r"^network must be given for this checkpoint, got none\. .*as network=\.$"):
        predict_topk(path, folder, k=1)
    assert len(predict_topk(path, folder, k=1, network=nn.Sequential(MeanColour()))) == 3
    with pytest.raises(
        ValueError, match=r"^network must have the structure of the one in the checkpoint, got Flatten\.$"
    ):
        predict_topk(path, folder, k=1, network=nn.Flatten())


def test_names_and_preprocessing_may_be_said_anew(folder):
    rows = predict_topk(MeanColour(), folder, k=1, class_names=["r", "g", "b"], preprocessing=PREPROCESSING)
    assert best(rows) == ["r", "b", "g"]
    assert best(predict_topk(MeanColour(), folder, k=1, preprocessing=PREPROCESSING.to_dict())) == ["0", "2", "1"]


def test_a_checkpoint_that_is_cut_short_is_named(tmp_path):
    cut = tmp_path / "cut.ckpt"
    whole = saved(tmp_path, TopKClassifier("small_cnn", num_classes=3))
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"^model must be a checkpoint that TopKClassifier saved, got '.*cut\.ckpt'\."):
        predict_topk(cut, torch.zeros(1, 3, 16, 16), k=1)
    with pytest.raises(
        ValueError, match=r"^weights must be a file of tensors that torch\.save wrote, got '.*cut\.ckpt'\.$"
    ):
        load_weights(SmallCNN(3), str(cut))


def test_what_cannot_be_predicted_ends_in_a_sentence(tmp_path, folder):
    network = MeanColour()
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "text.ckpt").write_text("hello")
    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    options = {"k": 1, "preprocessing": PREPROCESSING}
    sentences = {
        "missing": (network, tmp_path / "nothing", FileNotFoundError, "images must be existing files or folders, got"),
        "empty": (network, tmp_path / "empty", ValueError, "images must hold a file that ends in .avif, .bmp,"),
        "broken": (network, tmp_path / "broken.png", ValueError, "broken.png must be a readable image, got"),
        "number": (
            network,
            3,
            TypeError,
            "images must be paths, folders, PIL images, arrays, tensors, or a list of these, got int.",
        ),
        "numbers": (
            network,
            [3],
            TypeError,
            "images must be paths, folders, PIL images, arrays, tensors, or a list of these, got int.",
        ),
        "flat": (
            network,
            torch.zeros(3),
            ValueError,
            "images must have shape (channels, H, W) or (N, channels, H, W), got (3,).",
        ),
        "ints": (
            network,
            torch.zeros(3, 4, 4, dtype=torch.int64),
            TypeError,
            "images must be floating-point (already prepared) or uint8 (pixels to prepare) where they are tensors, "
            "got torch.int64.",
        ),
        "no file": (
            tmp_path / "no.ckpt",
            folder,
            FileNotFoundError,
            "model must be an existing checkpoint or an nn.Module, got",
        ),
        "text": (
            tmp_path / "text.ckpt",
            folder,
            ValueError,
            "model must be a checkpoint that TopKClassifier saved, got",
        ),
        "other": (
            tmp_path / "other.ckpt",
            folder,
            ValueError,
            "model must be a checkpoint that TopKClassifier saved, got",
        ),
    }
    for model, images, error, sentence in sentences.values():
        with pytest.raises(error) as raised:
            predict_topk(model, images, **options)
        assert sentence in str(raised.value)
    with pytest.raises(ValueError, match="preprocessing") as raised:
        predict_topk(network, folder, k=1)
    assert str(raised.value) == (
        "preprocessing must be given to read images for this model, got None. The model was not trained with a data "
        "module that has it: pass preprocessing=, or prepared tensors."
    )


def test_one_image_that_cannot_be_read_does_not_end_a_folder(folder):
    (folder / "2_broken.png").write_bytes(b"no image")
    model = TrainedModel.load(MeanColour(), class_names=NAMES, preprocessing=PREPROCESSING)
    files = list_images(folder)
    place = [file.name for file in files].index("2_broken.png")
    with pytest.warns(
        BadImageWarning, match=r"^1 of 4 images cannot be read\. .*2_broken\.png must be a readable image"
    ):
        rows = predict_topk(model, folder, k=1)
    assert rows[place] == ()
    assert best(row for row in rows if row) == ["red", "blue", "green"]
    with pytest.raises(ValueError, match="must be a readable image"):
        predict_topk(model, folder, k=1, on_bad_image="raise")
    with pytest.raises(ValueError, match="must be a readable image"):
        predict_topk(model, folder / "2_broken.png", k=1)
    with pytest.raises(ValueError, match=r"^on_bad_image must be "):
        predict_topk(model, folder, k=1, on_bad_image="stop")


def test_without_a_k_the_best_five_are_named_or_all_of_fewer(classifier):
    image = torch.zeros(3, 8, 8)
    assert len(predict_topk(classifier, image)) == 3
    assert len(topk_predictions(torch.arange(9.0), input="logits")) == 5
    assert len(topk_predictions(torch.arange(4.0), input="logits")) == 4
    assert len(trace_prediction(classifier, image).predictions) == 3
    with pytest.raises(ValueError, match=r"^k must be at most the number of classes \(3\), got 5\. Use a smaller k\.$"):
        predict_topk(classifier, image, k=5)


def test_arrays_are_pictures(classifier):
    pixels = np.zeros((4, 20, 30, 3), np.uint8)
    pixels[np.arange(3), :, :, np.arange(3)] = 255
    assert best(predict_topk(classifier, pixels[:3], k=1)) == NAMES
    assert predict_topk(classifier, pixels[1], k=1)[0].label == "green"
    assert best(predict_topk(classifier, [pixels[2], pixels[:2]], k=1)) == ["blue", "red", "green"]
    assert len(predict_topk(classifier, pixels[0, :, :, 0], k=1)) == 1  # grey
    clear = np.zeros((20, 30, 4), np.uint8)
    clear[:, :, 0] = 255
    clear[:10, :, 3] = 255  # red above, white below
    assert predict_topk(classifier, clear, k=1)[0].label == "red"
    for wrong in (pixels.astype(np.float32), pixels[0].transpose(2, 0, 1), pixels[:0]):
        with pytest.raises(TypeError, match=r"^images must be uint8 pixels \(H, W\), "):
            predict_topk(classifier, wrong, k=1)


def test_pixels_as_floating_point_numbers_are_refused_where_the_normalisation_is_known(classifier):
    pixels = torch.full((3, 8, 8), 255.0)
    with pytest.raises(ValueError, match="normalised") as raised:
        predict_topk(classifier, pixels, k=1)
    assert str(raised.value) == (
        "images must be normalised as in training where they are floating-point, got values up to 255. "
        "Pass pixels as uint8, which are prepared here, or say prepared=True."
    )
    assert len(predict_topk(classifier, pixels, k=1, prepared=True)) == 1
    assert len(predict_topk(MeanColour(), pixels, k=1)) == 1  # nothing is known there
    assert len(predict_topk(classifier, pixels / 255 * 20, k=1)) == 1


def test_probabilities_taken_for_logits_are_said_once_a_model(tmp_path):
    network = nn.Sequential(MeanColour(), nn.Softmax(1))
    model = TrainedModel.load(network, class_names=NAMES)
    images = torch.rand(4, 3, 8, 8)
    with pytest.warns(UserWarning, match=r"^network must return logits, of which probabilities are made, got rows of "):
        predict_topk(model, images, k=1)
    predict_topk(model, images, k=1)  # warnings are errors here
    predict_topk(MeanColour(), images, k=1)
    with pytest.warns(UserWarning, match="got rows of probabilities"):
        trace_prediction(network, images[0], k=1)


def test_a_network_may_return_an_object_with_logits():
    class Output:
        def __init__(self, logits):
            self.logits = logits

    class Wrapped(MeanColour):
        def forward(self, images):
            return Output(super().forward(images))

    assert best(predict_topk(Wrapped(), torch.eye(3).view(3, 3, 1, 1), k=1)) == ["0", "1", "2"]
