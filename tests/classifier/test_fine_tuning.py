"""Pretrained weights, a frozen backbone, learning rates, warm-up and decay, exact on resume."""

import functools
import math
import warnings

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from tests.data.drawings import class_folders
from topk_lightning.classifier import TopKClassifier
from topk_lightning.data import ImageFolderDataModule
from topk_lightning.networks import SmallCNN
from topk_lightning.networks.heads import find_head, head_of, replace_head

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*number of training batches:UserWarning"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step` but:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Found .* in eval mode at the start of training:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty:UserWarning"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before:UserWarning"),
    pytest.mark.filterwarnings("ignore:Training goes on within epoch:UserWarning"),
]


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small gain nothing from more, and wait for each other where cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(num_classes=3):
    torch.manual_seed(0)
    return SmallCNN(num_classes, width=2)


def loader(rows=8, batch_size=2):
    images = torch.rand(rows, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return DataLoader(TensorDataset(images, torch.arange(rows) % 3), batch_size=batch_size)


def fit(tmp_path, classifier, *, data=None, ckpt_path=None, callbacks=(), **options):
    defaults = {"max_epochs": 1, "enable_checkpointing": False, "logger": False}
    trainer = pl.Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        **{**defaults, **options},
    )
    trainer.fit(classifier, loader() if data is None else data, ckpt_path=ckpt_path)
    return trainer


class Record(pl.Callback):
    """Keeps the learning rates of each step and the state of the backbone after each epoch."""

    def __init__(self):
        self.rates, self.epochs = [], []

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        # With accumulation a step may take several batches.
        if trainer.global_step == len(self.rates):
            self.rates.append({group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups})

    def on_train_epoch_end(self, trainer, module):
        self.epochs.append({name: value.clone() for name, value in module.network.state_dict().items()})


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_frozen_backbone_stays_as_it_is_with_its_statistics_and_learns_afterwards(tmp_path):
    network, record = small(), Record()
    start = {name: value.clone() for name, value in network.state_dict().items()}
    classifier = TopKClassifier(network, 3, freeze_backbone_epochs=2, optimizer="sgd", lr_schedule="constant")
    fit(tmp_path, classifier, data=None, max_epochs=3, callbacks=[record])
    assert changed(start, record.epochs[1]) == {"head.4.weight", "head.4.bias"}
    assert changed(record.epochs[1], record.epochs[2]) == set(start)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_validation_keeps_the_statistics_frozen(tmp_path):
    network = small()
    start = {name: value.clone() for name, value in network.state_dict().items()}
    classifier = TopKClassifier(network, 3, freeze_backbone_epochs=2)
    trainer = pl.Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=2, val_check_interval=2, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(classifier, loader(), loader())
    assert changed(start, network.state_dict()) == {"head.4.weight", "head.4.bias"}
    assert all(module.training for module in network.modules())


def test_what_was_fixed_before_stays_fixed(tmp_path):
    network = small()
    network.features[0].requires_grad_(False)
    network.features[0][1].eval()
    before = {name: value.clone() for name, value in network.features[0].state_dict().items()}
    fit(tmp_path, TopKClassifier(network, 3, freeze_backbone_epochs=1), max_epochs=2)
    assert changed(before, network.features[0].state_dict()) == set()
    assert not network.features[0][1].training


def test_a_frozen_backbone_is_left_out_of_gradient_clipping(tmp_path):
    norms = []

    class Norms(pl.Callback):
        def on_before_zero_grad(self, trainer, module, optimizer):
            gradients = [p.grad for p in module.parameters() if p.grad is not None]
            norms.append((len(gradients), torch.stack([g.norm() for g in gradients]).norm().item() if gradients else 0))

    fit(tmp_path, TopKClassifier(small(), 3, freeze_backbone_epochs=1), gradient_clip_val=1e-3, callbacks=[Norms()])
    assert (2, pytest.approx(1e-3, rel=1e-3)) in norms


def test_the_backbone_has_its_own_learning_rate(tmp_path):
    record = Record()
    options = {"lr": 0.1, "backbone_lr": 0.01, "lr_schedule": "constant"}
    fit(tmp_path, TopKClassifier(small(), 3, **options), callbacks=[record])
    assert record.rates[0] == {
        "head": 0.1,
        "head_without_decay": 0.1,
        "backbone": 0.01,
        "backbone_without_decay": 0.01,
    }


def test_biases_and_normalisations_do_not_decay(tmp_path):
    trainer = fit(tmp_path, TopKClassifier(small(), 3, weight_decay=0.3))
    decays = {group["name"]: group["weight_decay"] for group in trainer.optimizers[0].param_groups}
    assert decays == {"head": 0.3, "head_without_decay": 0.0}
    assert all(p.ndim > 1 for p in trainer.optimizers[0].param_groups[0]["params"])


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_learning_rate_warms_up_and_decays_by_optimizer_step(tmp_path, accumulate):
    record = Record()
    classifier = TopKClassifier(small(), 3, lr=0.5, warmup_steps=2)
    fit(tmp_path, classifier, max_epochs=4, accumulate_grad_batches=accumulate, callbacks=[record])
    total = 4 * 4 // accumulate
    expected = [0.5 * 1 / 2, 0.5]
    expected += [0.5 * (1 + math.cos(math.pi * (step - 2) / (total - 2))) / 2 for step in range(2, total)]
    assert [rates["head"] for rates in record.rates] == pytest.approx(expected)


class Endless(IterableDataset):
    def __iter__(self):
        while True:
            yield torch.zeros(3, 16, 16), 0


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({"max_epochs": -1, "max_time": {"seconds": 1}}, loader()),
        ({"max_epochs": 1, "limit_train_batches": 3}, DataLoader(Endless(), batch_size=2)),
    ],
)
def test_without_a_known_end_the_learning_rate_is_held(tmp_path, options, data):
    record = Record()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(tmp_path, TopKClassifier(small(), 3, lr=0.5, warmup_steps=1), data=data, callbacks=[record], **options)
    if "max_time" in options:
        held = (
            "lr_schedule='cosine' needs an end of training, so the learning rate is held: set max_epochs or max_steps."
        )
        assert held in [str(warning.message) for warning in caught]
        assert {rates["head"] for rates in record.rates} == {0.5}
    else:
        assert len(record.rates) == 3


@pytest.mark.parametrize("freeze", [0, 1, 2, 3])
@pytest.mark.parametrize("saved_at", [8, 6])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, freeze, saved_at):
    # A loader starts again after a resume within an epoch, so that only equal batches can show equal training there.
    same = DataLoader(
        TensorDataset(*(part[:4].repeat(4, *[1] * (part.ndim - 1)) for part in loader().dataset.tensors)), 4
    )

    def classifier():
        return TopKClassifier(small(), 3, freeze_backbone_epochs=freeze, lr=0.05, warmup_steps=3, backbone_lr=0.01)

    class SaveHalfway(pl.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if trainer.global_step == saved_at:
                trainer.save_checkpoint(tmp_path / "half.ckpt")

    whole = classifier()
    fit(tmp_path, whole, data=same, max_epochs=4, callbacks=[SaveHalfway()])
    resumed = classifier()
    fit(tmp_path, resumed, data=same, max_epochs=4, ckpt_path=tmp_path / "half.ckpt")
    assert changed(whole.state_dict(), resumed.state_dict()) == set()


def test_a_callable_optimizer_keeps_its_own_options(tmp_path):
    factory = functools.partial(torch.optim.SGD, lr=0.7, weight_decay=0.2)
    trainer = fit(tmp_path, TopKClassifier(small(), 3, optimizer=factory, lr_schedule="constant"))
    groups = {group["name"]: (group["lr"], group["weight_decay"]) for group in trainer.optimizers[0].param_groups}
    assert groups == {"head": (0.7, 0.2), "head_without_decay": (0.7, 0.0)}
    described = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.3}}
    trainer = fit(tmp_path, TopKClassifier(small(), 3, optimizer=described, lr_schedule="constant"))
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.3


@pytest.mark.parametrize(
    "wrap", [lambda state: state, lambda state: {"state_dict": {f"network.{k}": v for k, v in state.items()}}]
)
def test_weights_from_a_file_fill_everything_but_a_head_of_other_classes(tmp_path, wrap):
    trained = SmallCNN(9, width=2)
    torch.save(wrap(trained.state_dict()), tmp_path / "weights.pt")
    network = small(3)
    head = network.head[4].weight.clone()
    TopKClassifier(network, 3, weights=str(tmp_path / "weights.pt"))
    assert changed(network.features.state_dict(), trained.features.state_dict()) == set()
    assert torch.equal(network.head[4].weight, head)
    same = TopKClassifier(
        {"class_path": "small_cnn", "init_args": {"width": 2}}, 9, weights=str(tmp_path / "weights.pt")
    )
    assert changed(same.network.state_dict(), trained.state_dict()) == set()


def test_weights_of_another_network_are_refused(tmp_path):
    path = str(tmp_path / "weights.pt")
    torch.save(SmallCNN(3, width=4).state_dict(), path)
    with pytest.raises(ValueError, match=r"^weights must fit the network everywhere but in its head, got '.*weights.pt' "
                       r"with 20 missing or misshapen and 0 unknown tensors. First: features.0.0.weight, "):  # fmt: skip
        TopKClassifier(small(), 3, weights=path)


def test_named_weights_belong_to_named_networks():
    with pytest.raises(ValueError, match="weights") as raised:
        TopKClassifier("small_cnn", 3, weights="DEFAULT")
    assert str(raised.value) == (
        "weights must be a file for this network, got 'DEFAULT' for small_cnn. "
        "Names of weights belong to networks given by a torchvision or timm name."
    )


def test_named_torchvision_weights_keep_the_backbone_and_get_a_new_head(tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    # The download is the only part that is replaced: the file of the hub's cache is written here.
    weights = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    trained = torchvision.models.squeezenet1_1()
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    file = tmp_path / "checkpoints" / weights.url.rpartition("/")[2]
    torch.save(trained.state_dict(), file)
    classifier = TopKClassifier("squeezenet1_1", 4, weights="DEFAULT")
    assert changed(trained.features.state_dict(), classifier.network.features.state_dict()) == set()
    assert classifier(torch.rand(1, 3, 64, 64)).shape == (1, 4)
    assert classifier.hparams["network"] == {"class_path": "squeezenet1_1", "init_args": {}}
    # Images are prepared as the weights were trained, and the checkpoint keeps it.
    data = ImageFolderDataModule(class_folders(tmp_path / "photos", {"a": 3, "b": 3, "c": 3, "d": 3}), batch_size=2)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, limit_train_batches=1, limit_val_batches=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(classifier, data)
    assert classifier.preprocessing == data.preprocessing.to_dict()
    assert classifier.preprocessing["mean"] == [0.485, 0.456, 0.406]
    assert (classifier.preprocessing["image_size"], classifier.preprocessing["resize"]) == (224, 256)


@pytest.mark.parametrize(
    "name",
    ["resnet18", "vgg11", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "vit_b_32", "swin_t", "convnext_tiny",
     "squeezenet1_0", "shufflenet_v2_x0_5", "mnasnet0_5", "alexnet", "maxvit_t", "regnet_y_400mf"],
)  # fmt: skip
def test_heads_of_torchvision_networks_are_found_and_replaced(name):
    models = pytest.importorskip("torchvision").models
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        network = models.get_model(name)
        replace_head(network, 5)
    with torch.device("cpu" if name.startswith("regnet") else "meta"):
        fresh = models.get_model(name, num_classes=5)
    shapes = [{key: value.shape for key, value in net.state_dict().items()} for net in (network, fresh)]
    assert shapes[0] == shapes[1]
    assert find_head(network) is not None


@pytest.mark.parametrize(
    "name",
    ["resnet10t", "vit_tiny_patch16_224", "mobilenetv3_small_050", "convnext_atto", "deit_tiny_distilled_patch16_224"],
)
def test_heads_of_timm_networks_are_found_and_replaced(name):
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        network = timm.create_model(name)
        replace_head(network, 5)
        if "distilled" not in name:
            assert head_of(network, 5) is network.get_classifier()
        assert network(torch.zeros(2, 3, 224, 224)).shape == (2, 5) or network.training


def test_a_head_without_a_layer_is_refused():
    with pytest.raises(ValueError, match=r"^network must end in an nn.Linear or nn.Conv2d with 5 outputs"):
        replace_head(nn.Flatten(), 5)
