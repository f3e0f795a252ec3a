"""A trained model, opened, with its training data."""

from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage, load_preprocessed, preprocess_files
from nnunetv2_hypersort.model.segmenter import FoldSegmenter
from nnunetv2_hypersort.model.trained_fold import TrainedFold

__all__ = [
    "FoldSegmenter",
    "ModelFolder",
    "PreprocessedImage",
    "TrainedFold",
    "load_preprocessed",
    "preprocess_files",
]
