"""Work with the annotation styles of a trained model."""

from nnunetv2_hypersort.styles.finding import find_styles
from nnunetv2_hypersort.styles.found_styles import FoundStyle, FoundStyles
from nnunetv2_hypersort.styles.model_folder import ModelFolder
from nnunetv2_hypersort.styles.preprocessed import PreprocessedImage, load_preprocessed, preprocess_files
from nnunetv2_hypersort.styles.segmenter import FoldSegmenter
from nnunetv2_hypersort.styles.trained_fold import TrainedFold

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
