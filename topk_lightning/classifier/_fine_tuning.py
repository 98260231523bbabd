"""A backbone that is held fixed for a while."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from topk_lightning.networks.heads import backbone_parameters

__all__ = ["FrozenBackbone"]


class FrozenBackbone:
    """Hold everything but the head of a network fixed, and release it again.

    Parameters and normalisations that were fixed before stay so. The object holds no tensor of its own and no state of
    training: whoever asks :meth:`hold` at each batch gets the right thing after a resume.
    """

    def __init__(self) -> None:
        self._parameters: list[nn.Parameter] = []
        self._batch_norms: list[nn.Module] = []

    def hold(self, network: nn.Module, num_classes: int, *, keep_grad: bool = False) -> None:
        """Freeze the backbone of `network`; calling it again is cheap and undoes a ``train()`` in between.

        Args:
            network: a network whose last layer has `num_classes` outputs.
            num_classes: number of classes.
            keep_grad: let the parameters keep their gradient, which :meth:`drop_gradients` removes before each step.
        """
        if not self._parameters:
            self._parameters = [p for p in backbone_parameters(network, num_classes) if p.requires_grad]
            # Their running statistics change in training mode even without a gradient.
            self._batch_norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.training]
        for module in self._batch_norms:
            module.eval()
        for parameter in self._parameters:
            parameter.requires_grad_(keep_grad)

    def release(self) -> None:
        """Undo :meth:`hold`."""
        for module in self._batch_norms:
            module.train()
        for parameter in self._parameters:
            parameter.requires_grad_()
        self._parameters, self._batch_norms = [], []

    def drop_gradients(self) -> None:
        """Remove the gradients of the frozen parameters, so that the optimizer leaves them out."""
        for parameter in self._parameters:
            parameter.grad = None
