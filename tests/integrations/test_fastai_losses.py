"""Every loss as the `loss_func` of real Learners, with what fastai does to a loss."""

import copy
import warnings

import pytest
import torch
from torch import nn

from tests.integrations.learners import CLASSES, learner, loaders, vision
from topk_lightning import losses
from topk_lightning.data import EmojiDataModule
from topk_lightning.integrations.fastai import KAnnealing, TemperatureAnnealing, TopKAccuracy

NAMES = [name for name in losses.__all__ if name.endswith("Loss")]


def loss_named(name, **options):
    counts = {"class_counts": range(1, 1 + CLASSES)} if name.startswith("LogitAdjusted") else {}
    return getattr(losses, name)(**counts, **options)


pytestmark = [
    pytest.mark.filterwarnings("ignore:.*numpy.core is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    # Half precision is for GPUs; fastai asks for it all the same.
    pytest.mark.filterwarnings("ignore:.*CUDA is not available:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*load_learner` uses Python's insecure pickle:UserWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Embedded drawings in train/<class>/*.png and val/<class>/*.png: 4 classes, 20 and 4 images."""
    root, data = tmp_path_factory.mktemp("pictures"), EmojiDataModule(classes=CLASSES, image_size=32)
    data.setup("fit")
    for split in ("train", "val"):
        for number, (picture, target) in enumerate(zip(data.pictures(split), data.targets(split), strict=True)):
            path = root / split / data.class_names[target] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.resize((32, 32)).save(path)
    return root


@pytest.fixture
def pictures(folder):
    return vision.ImageDataLoaders.from_folder(folder, train="train", valid="val", bs=5, num_workers=0)


def quiet(learn):
    learn.remove_cb(vision.ProgressCallback)
    learn.logger = vision.noop
    return learn


def test_a_vision_learner_from_the_first_call_to_the_exported_file(pictures, tmp_path):
    temperature, k = TemperatureAnnealing(start=4.0, end=0.5), KAnnealing((3, 2), (0, 0.5))
    learn = vision.vision_learner(
        pictures,
        vision.resnet18,
        pretrained=False,
        metrics=[vision.accuracy, TopKAccuracy(k=2)],
        loss_func=losses.SmoothTopKSVMLoss(k=3),
        cbs=[vision.MixUp(), vision.ShowGraphCallback(), temperature, k],
        path=tmp_path,
    ).to_fp16()
    learn.logger = vision.noop

    assert 0 < learn.lr_find(num_it=7, show_plot=False).valley < 10
    assert (learn.loss_func.k, learn.loss_func.temperature) == (3, 1.0)

    learn.fit_one_cycle(2, 1e-3)
    assert (temperature.history[0], temperature.history[-1], len(temperature.history)) == (4.0, 0.5, 8)
    assert k.history == [3, 2]
    assert all(loss.isfinite() for loss in learn.recorder.losses)

    preds, target, each = learn.get_preds(with_loss=True)
    loss, accuracy, top2 = learn.validate()
    assert torch.allclose(preds.sum(1), torch.ones(4))
    assert loss == pytest.approx(each.mean().item(), rel=1e-5)
    assert accuracy == (preds.argmax(1) == target).float().mean()
    assert top2 == (preds.topk(2).indices == target[:, None]).sum() / 4

    image = vision.get_image_files(pictures.path / "val")[0]
    name, index, probabilities = learn.predict(image)
    assert (name, index) == (pictures.vocab[index], probabilities.argmax())

    interpretation = vision.ClassificationInterpretation.from_learner(learn)
    matrix = interpretation.confusion_matrix()
    assert matrix.sum() == 4
    assert matrix.trace() == accuracy * 4
    assert interpretation.top_losses(1)[0] == each.max()
    interpretation.plot_top_losses(2)
    learn.show_results()
    vision.plt.close("all")

    learn.export("learner.pkl")
    again = quiet(vision.load_learner(tmp_path / "learner.pkl"))
    assert repr(again.loss_func) == repr(learn.loss_func)
    assert again.loss_func.temperature == 0.5
    assert torch.allclose(again.predict(image)[2], probabilities, atol=1e-5)
    assert again.temperature_annealing.history == temperature.history


@pytest.mark.parametrize("mixup", [False, True], ids=["plain", "MixUp"])
@pytest.mark.parametrize("name", NAMES)
def test_every_loss_trains_predicts_and_is_measured_row_by_row(name, mixup, tmp_path):
    loss = loss_named(name)
    learn = quiet(
        learner(loss_func=loss, cbs=[vision.MixUp()] if mixup else [], metrics=[TopKAccuracy(2)], path=tmp_path)
    )
    before = learn.model.weight.detach().clone()
    learn.fit(1, 0.01)
    assert learn.model.weight.isfinite().all()
    assert not torch.equal(learn.model.weight, before)
    assert learn.loss_func is loss
    preds, target, best, each = learn.get_preds(with_loss=True, with_decoded=True)
    assert loss.reduction == "mean"
    assert each.shape == target.shape == best.shape == (4,)
    assert torch.allclose(preds.sum(1), torch.ones(4))
    assert torch.equal(best, preds.argmax(1))


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_scores(name):
    class Half(vision.Callback):
        """What to_bf16 does on a GPU, on a CPU; the scores reach the loss and the metric in half precision."""

        def before_batch(self):
            self.cast = torch.autocast("cpu", dtype=torch.bfloat16)
            self.cast.__enter__()

        def after_pred(self):
            assert self.learn.pred.dtype == torch.bfloat16

        def after_loss(self):
            self.cast.__exit__(None, None, None)
            assert self.learn.loss.dtype == torch.float32

    learn = quiet(learner(loss_func=loss_named(name), cbs=[Half()], metrics=[TopKAccuracy(2)]))
    learn.fit(1)
    assert learn.model.weight.isfinite().all()


def test_class_weights_follow_the_learner():
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    learn = quiet(learner(loss_func=losses.SmoothTopKSVMLoss(k=2, weight=weight)))
    learn.fit(1)
    assert torch.equal(learn.loss_func.weight, weight)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_with_the_classes_last(name):
    generator = torch.Generator().manual_seed(0)
    rows, target = torch.randn(16, 55, 3, generator=generator), torch.arange(16 * 55).view(16, 55) % CLASSES
    loss = loss_named(name, class_dim=-1)
    learn = vision.Learner(
        loaders((rows, target), (rows, target), 8),
        nn.Linear(3, CLASSES),
        loss_func=loss,
        metrics=[TopKAccuracy(2, class_dim=-1)],
    )
    quiet(learn).fit(1)
    preds, _, best, each = learn.get_preds(with_loss=True, with_decoded=True)
    assert preds.shape == (16, 55, CLASSES)
    assert best.shape == (16, 55)
    assert torch.allclose(preds.sum(-1), torch.ones(16, 55))
    # fastai keeps one loss a row of the batch.
    assert each.shape == (16,)
    hits = (preds.topk(2, -1).indices == target[..., None]).sum() / (16 * 55)
    assert learn.validate()[1] == pytest.approx(hits.item())


def test_multi_hot_rows_become_distributions_by_their_sum():
    loss = losses.SmoothTopKSVMLoss(k=2)
    rows, target = torch.randn(8, 3), torch.tensor([[1.0, 1, 0, 0], [0, 1, 1, 1]]).repeat(4, 1)
    learn = vision.Learner(
        loaders((rows, target), (rows, target), 4),
        nn.Linear(3, CLASSES),
        loss_func=lambda logits, target: loss(logits, target / target.sum(1, keepdim=True)),
    )
    quiet(learn).fit(1)
    assert learn.model.weight.isfinite().all()


def test_a_multi_hot_target_is_refused_where_a_distribution_belongs():
    rows, target = torch.randn(4, 3), torch.tensor([[1.0, 1, 0, 0]]).repeat(4, 1)
    learn = vision.Learner(
        loaders((rows, target), (rows, target), 4), nn.Linear(3, 4), loss_func=losses.SoftTopKLoss(k=2)
    )
    with pytest.raises(ValueError, match="Divide a target of several classes by its row sums"):
        quiet(learn).fit(1)


def test_a_copied_learner_has_its_own_loss():
    learn = quiet(learner())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        twin = copy.deepcopy(learn)
    twin.loss_func.temperature = 3.0
    assert learn.loss_func.temperature == 1.0
