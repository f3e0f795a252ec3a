"""Run by a test in a process of its own: what a colleague with plain nnU-Net does with an exported model.

Arguments: the folder that takes the part of nnUNet_results, the name of the trained-model folder's dataset, plans and
configuration, the image, and a folder for everything that is made. Any import of our package fails.
"""

import os
import sys
from pathlib import Path


class Blocker:
    """Finds nothing, and fails where our package is asked for."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] == "nnunetv2_hypersort":
            raise ModuleNotFoundError(f"{name} is blocked")


def main(root: str, dataset: str, plans: str, configuration: str, image: str, made: str) -> None:
    sys.meta_path.insert(0, Blocker())
    try:
        import nnunetv2_hypersort  # noqa: F401
    except ModuleNotFoundError:
        print("our package cannot be imported")
    installed = Path(made) / "installed"
    installed.mkdir()
    os.environ["nnUNet_results"] = root

    import torch

    torch.set_num_threads(1)
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.model_sharing.model_export import export_pretrained_model
    from nnunetv2.model_sharing.model_import import install_model_from_zip_file
    from nnunetv2.utilities.file_path_utilities import get_output_folder

    def predict(name: str, folds: tuple[int, ...]) -> None:
        predictor = nnUNetPredictor(device=torch.device("cpu"), allow_tqdm=False)
        predictor.initialize_from_trained_model_folder(
            get_output_folder(dataset, "nnUNetTrainer", plans, configuration), folds
        )
        print(type(predictor.network).__module__, predictor.trainer_name, sep="\n")
        predictor.predict_from_files_sequential([[image]], [str(Path(made) / name)])

    predict("both", (0, 1))
    predict("second", (1,))
    archive = str(Path(made) / "model.zip")
    export_pretrained_model(dataset, archive, (configuration,), "nnUNetTrainer", plans, (0, 1))
    os.environ["nnUNet_results"] = str(installed)
    install_model_from_zip_file(archive)
    predict("from_zip", (0, 1))


if __name__ == "__main__":
    main(*sys.argv[1:])
