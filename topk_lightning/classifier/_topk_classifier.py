"""TopKClassifier: any network, any loss, and top-k metrics in one LightningModule."""

from __future__ import annotations

from pytorch_lightning import LightningModule

from topk_lightning.classifier._base import TopKClassifierBase

__all__ = ["TopKClassifier"]


class TopKClassifier(TopKClassifierBase, LightningModule):
    r"""Train any image classifier and measure it by its k best guesses.

    Logged each epoch: ``train/loss``, ``val/loss``, ``test/loss`` and, for each k, ``train/top<k>``, ``val/top<k>``,
    ``test/top<k>`` as fractions in [0, 1]. Under several processes the validation and test numbers are those of the
    whole set, each sample once. Of several validation or test loaders each has its own, ``val/top<k>/<name>``. Targets are
    those of the model's classes: see :func:`topk_lightning.classifier.match_classes`. `predict_step` returns tuples of :class:`topk_lightning.TopKPrediction`.

    Checkpoints hold plain data (network specification, class names, preprocessing, options), so that
    :func:`topk_lightning.predict_topk` and ``TopKClassifier.load_from_checkpoint(path)`` need nothing but the file and it
    loads with ``torch.load(path, weights_only=True)``. A network that cannot be named is passed again as ``network=``.

    Shape:
        - Batches: (images, target), images (N, channels, H, W), target (N,) of class indices or (N, C) of
          distributions over classes (mixup); or dicts, {"pixel_values": images, "labels": target}.
        - Output: logits (N, C).

    Args:
        network: "small_cnn", a torchvision classification model ("resnet18"), "timm/<model>", the import path of an
            nn.Module, {"class_path": …, "init_args": {…}}, or an nn.Module that returns logits. The last layer of a
            torchvision or timm network is replaced where it has another number of outputs.
        num_classes: number of classes C, at least 2; may be left out where `class_names` is given, and for
            published `weights`, whose classes are then those of the model.
        class_names: a list, {index: name} or {name: index}. With `num_classes` alone they are taken from the data module.
        loss: any callable of (logits, target) that returns a scalar; None: cross entropy.
        k: one k or several; None: those of 1, 3, 5 below the number of classes.
        lr: learning rate > 0; None: 1e-3, or the callable's own.
        optimizer: "adamw", "adam", "sgd" (momentum 0.9, Nesterov), "rmsprop", {"class_path": …, "init_args": {…}}, or a
            callable that takes groups of parameters.
        weight_decay: for weights, not for biases and normalisations; None: 0.01, or the callable's own.
        lr_schedule: "cosine" (to 0 at the end of training) or "constant".
        warmup_steps: optimizer steps over which the learning rate rises linearly.
        weights: pretrained weights: a name of torchvision's ("DEFAULT", also for timm's), or a file.
        freeze_backbone_epochs: epochs in which only the last layer learns; batch normalisation is held as well.
        backbone_lr: learning rate > 0 of everything but the last layer; None: `lr`.
        label_smoothing: share of the target in [0, 1) that training spreads evenly over all classes, with any loss.
        mixup: α > 0 of MixUp, which mixes pairs of training images in proportions from Beta(α, α); 0: none.
        cutmix: α > 0 of CutMix, which puts a part of one training image into another; with both, each batch draws one.
        ema: decay in [0, 1] of an exponential moving average of the weights, such as 0.999, by which validation, test and
            checkpoints go (Lightning's EMAWeightAveraging); 0: none.
        preprocessing: how images become tensors, as a dict; taken from the data module where it has one.

    Raises:
        TypeError: a metric, or a class, as loss.
        ValueError: an unknown network, no number of classes, names that do not fit, k > C.

    Examples:
        >>> import torch
        >>> classifier = TopKClassifier("small_cnn", class_names=["ant", "bee", "cat", "dog"])
        >>> classifier.k
        (1, 3)
        >>> classifier(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 4])
    """
