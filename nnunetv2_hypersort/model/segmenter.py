"""Segmentation by one fold with any of its latents, as nnU-Net predicts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from nnunetv2_hypersort.errors import HyperSORTError
from nnunetv2_hypersort.model.model_folder import ModelFolder
from nnunetv2_hypersort.model.preprocessed import PreprocessedImage, load_preprocessed, preprocess_files
from nnunetv2_hypersort.model.trained_fold import TrainedFold
from nnunetv2_hypersort.nnunet.label_writing import write_labels


class FoldSegmenter:
    """Segments with one fold, with a latent that may change from call to call.

    nnU-Net's own predictor does the work (sliding window, mirroring as in training), so a segmentation equals that of
    `hypersort predict` for the same image, fold and latent. Weights are read without unpickling what is not weights.

    Args:
        model: The model.
        fold: One of its folds, or the name of one.
        device: `cpu`, `cuda` or another device of PyTorch.

    Raises:
        HyperSORTError: The fold was not opened, its checkpoint does not fit the plans, or the model is the second
            stage of a cascade.
    """

    def __init__(self, model: ModelFolder, fold: TrainedFold | int | str, device: str | torch.device = "cpu") -> None:
        self.model = model
        self.fold = fold if isinstance(fold, TrainedFold) else model.fold(fold)
        planned = model.planned
        if planned.configuration_manager.previous_stage_name is not None:
            raise HyperSORTError(
                f"{model.path} is the second stage of a cascade, which needs the segmentations of the first; only "
                f"`hypersort predict -prev_stage_predictions` can run it."
            )
        # Weights are generated on the CPU and copied, as in a prediction: the same to the last bit on any device.
        self.hypernetwork = self.fold.network()
        self._predictor = nnUNetPredictor(device=torch.device(device), allow_tqdm=False)
        self._predictor.manual_initialization(
            planned.build_predicting_network(),
            planned.plans_manager,
            planned.configuration_manager,
            None,
            planned.dataset_json,
            planned.trainer_name,
            self.fold.mirror_axes,
        )

    def logits(self, image: PreprocessedImage | np.ndarray, latent: Sequence[float] | np.ndarray) -> torch.Tensor:
        """The network's output for a preprocessed image.

        Args:
            image: A preprocessed image, or its data, shape (channels, x, y, z).
            latent: Shape (dim,).

        Returns:
            Logits, shape (classes or regions, x, y, z), on the CPU, half precision as nnU-Net keeps them.

        Raises:
            HyperSORTError: The latent has the wrong dimension.
        """
        data = image.data if isinstance(image, PreprocessedImage) else np.asarray(image)
        with self.hypernetwork.materialised(self._as_latent(latent)):
            self._predictor.list_of_parameters = [self.hypernetwork.primary.state_dict()]
            logits: torch.Tensor = self._predictor.predict_logits_from_preprocessed_data(torch.from_numpy(data).float())
        return logits.cpu()

    def segment_preprocessed(
        self, case: str | PreprocessedImage | np.ndarray, latent: Sequence[float] | np.ndarray
    ) -> np.ndarray:
        """Segment on the preprocessed grid.

        Args:
            case: A case of the preprocessed training data, or a preprocessed image.
            latent: Shape (dim,).

        Returns:
            Label values, shape (x, y, z), on the grid of the preprocessed image.

        Raises:
            HyperSORTError: The latent has the wrong dimension, or the case cannot be loaded.
        """
        image = load_preprocessed(self.model, case) if isinstance(case, str) else case
        segmentation = self.model.planned.label_manager.convert_logits_to_segmentation(self.logits(image, latent))
        return np.asarray(segmentation).astype(np.int16)

    def segment_image(self, image: PreprocessedImage, latent: Sequence[float] | np.ndarray) -> np.ndarray:
        """Segment a preprocessed image on the grid of its file.

        Args:
            image: A preprocessed image; it can be used again with other latents.
            latent: Shape (dim,).

        Returns:
            Label values in nnU-Net's axis order, as `write_segmentation` takes them.
        """
        return self.segmentation_on_image(self.logits(image, latent), image)

    def segmentation_on_image(self, logits: torch.Tensor, image: PreprocessedImage) -> np.ndarray:
        """The segmentation on the grid of the file that is in the logits of its preprocessed image.

        Args:
            logits: What `logits` returned.
            image: The image they are of.

        Returns:
            Label values in nnU-Net's axis order.
        """
        planned = self.model.planned
        segmentation: np.ndarray = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits,
            planned.plans_manager,
            planned.configuration_manager,
            planned.label_manager,
            image.properties,
        )
        return segmentation

    def segment_images(
        self, files: Sequence[str | Path], latent: Sequence[float] | np.ndarray, output: str | Path | None = None
    ) -> np.ndarray:
        """Segment one case from its image files, on their grid.

        Args:
            files: One file per channel.
            latent: Shape (dim,).
            output: Also write the segmentation to this file.

        Returns:
            Label values in nnU-Net's axis order.
        """
        image = preprocess_files(self.model.planned, files)
        segmentation = self.segment_image(image, latent)
        if output is not None:
            self.write_segmentation(segmentation, image, output)
        return segmentation

    def write_segmentation(self, segmentation: np.ndarray, image: PreprocessedImage, output: str | Path) -> None:
        """Write a segmentation on the grid of its image file, whole or not at all.

        Args:
            segmentation: What `segment_image` returned.
            image: The image it is of.
            output: The file; its ending is that of the dataset.
        """
        writer = self.model.planned.plans_manager.image_reader_writer_class()
        write_labels(writer, segmentation, image.properties, output)

    def _as_latent(self, latent: Sequence[float] | np.ndarray) -> torch.Tensor:
        coordinates = torch.as_tensor(np.asarray(latent, np.float64), dtype=torch.float32)
        dim = self.fold.record.latents.shape[1]
        if coordinates.shape != (dim,):
            raise HyperSORTError(
                f"A latent of shape {tuple(coordinates.shape)} was given, but the latents of this model have {dim} "
                f"coordinates."
            )
        return coordinates
