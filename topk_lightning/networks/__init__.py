"""Networks: a small one of our own, and any other from its name, with a new head and pretrained weights."""

from topk_lightning.networks._small_cnn import SmallCNN
from topk_lightning.networks.misfit import check_network
from topk_lightning.networks.specification import build_network

__all__ = ["SmallCNN", "build_network", "check_network"]
