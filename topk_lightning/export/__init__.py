"""A trained model for others: as an ONNX file, as a program of ``torch.export``, as a folder for Hugging Face."""

from topk_lightning.export.export_model import Exported, export_model

__all__ = ["Exported", "export_model"]
