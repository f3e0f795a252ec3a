"""The annotation styles of a trained model: clusters, one name over all folds, and words for how they differ."""

# What belongs to `model` stood here, and can still be had from here.
from nnunetv2_hypersort.model import (
    FoldSegmenter,
    ModelFolder,
    PreprocessedImage,
    TrainedFold,
    load_preprocessed,
    preprocess_files,
)
from nnunetv2_hypersort.styles.finding import find_styles
from nnunetv2_hypersort.styles.found_styles import FoundStyle, FoundStyles

__all__ = [
    "FoldSegmenter",
    "FoundStyle",
    "FoundStyles",
    "ModelFolder",
    "PreprocessedImage",
    "TrainedFold",
    "find_styles",
    "load_preprocessed",
    "preprocess_files",
]
