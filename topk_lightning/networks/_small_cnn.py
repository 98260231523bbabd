"""A small convolutional network that trains in minutes on a CPU."""

from __future__ import annotations

from torch import Tensor, nn

from topk_lightning._checks import InvalidTypeError, InvalidValueError, must
from topk_lightning._checks.options import check_integer

__all__ = ["SmallCNN"]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    # The convolution needs no bias: the normalisation after it has one.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    )


class SmallCNN(nn.Module):
    r"""Classify images with four convolution blocks and global average pooling.

    Each block is a 3×3 convolution, batch normalisation, ReLU and 2×2 max pooling. `features` holds the first two: they
    turn an image of 64×64 pixels into 16×16 maps of `width` channels. `head` holds two wider blocks (4·width and 8·width
    channels), the mean over all positions and one linear layer, so that no size has to be computed by hand and any
    image from 16×16 pixels up fits.

    Shape:
        - Input: (N, in_channels, H, W) with H, W ≥ 16.
        - Output: logits (N, C) with C = num_classes.

    Args:
        num_classes: number of classes C, at least 1.
        in_channels: channels of the images: 3 for colour, 1 for grey.
        width: channels of the feature maps, at least 1; cost grows with its square.

    Raises:
        ValueError: images of another number of channels or below 16×16 pixels.
        TypeError: images that are not floating-point.

    Examples:
        >>> import torch
        >>> network = SmallCNN(num_classes=10)
        >>> network.features(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 32, 16, 16])
        >>> network(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 10])
    """

    minimum_size = 16

    def __init__(self, num_classes: int, in_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.num_classes = check_integer("num_classes", num_classes)
        self.in_channels = check_integer("in_channels", in_channels)
        self.width = check_integer("width", width)
        self.features = nn.Sequential(_block(in_channels, width), _block(width, width))
        self.head = nn.Sequential(
            _block(width, 4 * width),
            _block(4 * width, 8 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8 * width, num_classes),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, C) of images (N, in_channels, H, W)."""
        _check_images(images, self.in_channels, self.minimum_size)
        logits: Tensor = self.head(self.features(images))
        return logits


def _check_images(images: Tensor, channels: int, minimum: int) -> None:
    """Raise unless `images` is a floating-point batch (N, channels, H, W) with H, W ≥ minimum."""
    wanted = f"have shape (N, {channels}, H, W)"
    if images.ndim != 4:
        remedy = "Add the batch dimension with images.unsqueeze(0)." if images.ndim == 3 else ""
        raise InvalidValueError(must("images", wanted, tuple(images.shape), remedy))
    if not images.is_floating_point():
        remedy = "Scale pixels to [0, 1] first, for example with torchvision.transforms.v2.ToDtype(scale=True)."
        raise InvalidTypeError(must("images", "be floating-point", str(images.dtype), remedy))
    if images.shape[1] != channels:
        if images.shape[3] == channels:
            remedy = "Put the channels second with images.permute(0, 3, 1, 2)."
        else:
            remedy = f"Build the network with in_channels={images.shape[1]}, or convert the images."
        raise InvalidValueError(must("images", wanted, tuple(images.shape), remedy))
    if images.shape[2] < minimum or images.shape[3] < minimum:
        size = f"{images.shape[2]} x {images.shape[3]}"
        raise InvalidValueError(
            must("images", f"be at least {minimum} x {minimum} pixels", size, "Enlarge them first.")
        )
