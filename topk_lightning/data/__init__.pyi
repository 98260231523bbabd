# The public names, each with the module that it comes from: the only list of them.
from ._errors import (
    SPLITS as SPLITS,
    BadImageError as BadImageError,
    BadImageWarning as BadImageWarning,
    DeeperFoldersWarning as DeeperFoldersWarning,
    ImageSizeWarning as ImageSizeWarning,
    LeakageWarning as LeakageWarning,
    LeftOutWarning as LeftOutWarning,
    TooLargeImageError as TooLargeImageError,
    UnreadableImageError as UnreadableImageError,
    skipped_sentence as skipped_sentence,
    unreadable_image as unreadable_image,
)
from ._image_table import (
    is_table as is_table,
    read_table as read_table,
)
from ._perceptual_hash import (
    perceptual_hash as perceptual_hash,
)
from ._torchvision import (
    import_torchvision as import_torchvision,
)
from ._twins import (
    on_base as on_base,
)
from .base import (
    ImageDataModuleBase as ImageDataModuleBase,
)
from .class_names import (
    find_class_names as find_class_names,
)
from .digests import (
    count_trained_on as count_trained_on,
    file_digests as file_digests,
    pixel_digest as pixel_digest,
    training_digests as training_digests,
)
from .emoji import (
    EmojiDataModule as EmojiDataModule,
)
from .emoji_sheet import (
    EMBEDDED_SHEET as EMBEDDED_SHEET,
    load_sheet as load_sheet,
    read_index as read_index,
)
from .exact_sampler import (
    ExactDistributedSampler as ExactDistributedSampler,
    equal_batch_size as equal_batch_size,
)
from .folder_layout import (
    check_folder as check_folder,
    class_paths as class_paths,
    split_folders as split_folders,
)
from .image_files import (
    IMAGE_SUFFIXES as IMAGE_SUFFIXES,
    ImageFiles as ImageFiles,
    find_images as find_images,
    left_out_kinds as left_out_kinds,
    left_out_remedy as left_out_remedy,
    left_out_sentence as left_out_sentence,
)
from .image_folder import (
    ImageFolderDataModule as ImageFolderDataModule,
)
from .images import (
    FORMATS as FORMATS,
    MAX_PIXELS as MAX_PIXELS,
    check_image_size as check_image_size,
    load_image as load_image,
    to_rgb as to_rgb,
)
from .leakage import (
    Leak as Leak,
    Leaks as Leaks,
    find_leaks as find_leaks,
)
from .options import (
    build_data_module as build_data_module,
    plain_options as plain_options,
)
from .preprocessing import (
    Preprocessing as Preprocessing,
)
from .repeated_rows import (
    rows_seen_once as rows_seen_once,
)
from .samples import (
    FileSamples as FileSamples,
    ImageDataset as ImageDataset,
)
from .summary import (
    DataSummary as DataSummary,
)
from .torchvision_data import (
    TorchvisionDataModule as TorchvisionDataModule,
)
from .training_data import (
    TrainingData as TrainingData,
)
