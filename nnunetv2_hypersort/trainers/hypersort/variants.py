"""nnU-Net's most used trainer variants with latents: each is HyperSORTTrainer and the variant it is named after.

The variant's own code does the work, so it changes with nnU-Net. Settings (HYPERSORT_CONFIG) have the last word: with
`training.num_epochs: 10` a `HyperSORTTrainer_250epochs` trains ten. Further variants combine in the same way, in a
module of a folder that nnUNet_extTrainer names:

    class HyperSORTTrainerMine(HyperSORTTrainer, nnUNetTrainerMine):
        pass
"""

from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainer_noDummy2DDA import (
    nnUNetTrainer_noDummy2DDA,
)
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerDA5 import nnUNetTrainerDA5
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoDA import nnUNetTrainerNoDA
from nnunetv2.training.nnUNetTrainer.variants.data_augmentation.nnUNetTrainerNoMirroring import (
    nnUNetTrainer_onlyMirror01,
    nnUNetTrainerNoMirroring,
)
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerCELoss import nnUNetTrainerCELoss
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerDiceLoss import nnUNetTrainerDiceLoss
from nnunetv2.training.nnUNetTrainer.variants.loss.nnUNetTrainerTopkLoss import (
    nnUNetTrainerDiceTopK10Loss,
    nnUNetTrainerTopk10Loss,
)
from nnunetv2.training.nnUNetTrainer.variants.network_architecture.nnUNetTrainerNoDeepSupervision import (
    nnUNetTrainerNoDeepSupervision,
)
from nnunetv2.training.nnUNetTrainer.variants.sampling.nnUNetTrainer_probabilisticOversampling import (
    nnUNetTrainer_probabilisticOversampling,
)
from nnunetv2.training.nnUNetTrainer.variants.training_length.nnUNetTrainer_Xepochs import (
    nnUNetTrainer_1epoch,
    nnUNetTrainer_5epochs,
    nnUNetTrainer_10epochs,
    nnUNetTrainer_20epochs,
    nnUNetTrainer_50epochs,
    nnUNetTrainer_100epochs,
    nnUNetTrainer_250epochs,
    nnUNetTrainer_500epochs,
    nnUNetTrainer_750epochs,
    nnUNetTrainer_2000epochs,
    nnUNetTrainer_4000epochs,
    nnUNetTrainer_8000epochs,
)
from nnunetv2.training.nnUNetTrainer.variants.training_length.nnUNetTrainer_Xepochs_NoMirroring import (
    nnUNetTrainer_250epochs_NoMirroring,
    nnUNetTrainer_2000epochs_NoMirroring,
    nnUNetTrainer_4000epochs_NoMirroring,
    nnUNetTrainer_8000epochs_NoMirroring,
)

from nnunetv2_hypersort.trainers.hypersort.hypersort_trainer import HyperSORTTrainer


class HyperSORTTrainer_1epoch(HyperSORTTrainer, nnUNetTrainer_1epoch):
    """One epoch, to see whether everything runs."""


class HyperSORTTrainer_5epochs(HyperSORTTrainer, nnUNetTrainer_5epochs):
    """5 epochs."""


class HyperSORTTrainer_10epochs(HyperSORTTrainer, nnUNetTrainer_10epochs):
    """10 epochs."""


class HyperSORTTrainer_20epochs(HyperSORTTrainer, nnUNetTrainer_20epochs):
    """20 epochs."""


class HyperSORTTrainer_50epochs(HyperSORTTrainer, nnUNetTrainer_50epochs):
    """50 epochs."""


class HyperSORTTrainer_100epochs(HyperSORTTrainer, nnUNetTrainer_100epochs):
    """100 epochs."""


class HyperSORTTrainer_250epochs(HyperSORTTrainer, nnUNetTrainer_250epochs):
    """250 epochs."""


class HyperSORTTrainer_500epochs(HyperSORTTrainer, nnUNetTrainer_500epochs):
    """500 epochs."""


class HyperSORTTrainer_750epochs(HyperSORTTrainer, nnUNetTrainer_750epochs):
    """750 epochs."""


class HyperSORTTrainer_2000epochs(HyperSORTTrainer, nnUNetTrainer_2000epochs):
    """2000 epochs."""


class HyperSORTTrainer_4000epochs(HyperSORTTrainer, nnUNetTrainer_4000epochs):
    """4000 epochs."""


class HyperSORTTrainer_8000epochs(HyperSORTTrainer, nnUNetTrainer_8000epochs):
    """8000 epochs."""


class HyperSORTTrainerNoMirroring(HyperSORTTrainer, nnUNetTrainerNoMirroring):
    """No mirroring, in training and prediction: for styles that have a direction."""


class HyperSORTTrainer_onlyMirror01(HyperSORTTrainer, nnUNetTrainer_onlyMirror01):
    """Mirroring along the first two axes (2-D: the first) only."""


class HyperSORTTrainer_250epochs_NoMirroring(HyperSORTTrainer, nnUNetTrainer_250epochs_NoMirroring):
    """250 epochs without mirroring."""


class HyperSORTTrainer_2000epochs_NoMirroring(HyperSORTTrainer, nnUNetTrainer_2000epochs_NoMirroring):
    """2000 epochs without mirroring."""


class HyperSORTTrainer_4000epochs_NoMirroring(HyperSORTTrainer, nnUNetTrainer_4000epochs_NoMirroring):
    """4000 epochs without mirroring."""


class HyperSORTTrainer_8000epochs_NoMirroring(HyperSORTTrainer, nnUNetTrainer_8000epochs_NoMirroring):
    """8000 epochs without mirroring."""


class HyperSORTTrainerNoDA(HyperSORTTrainer, nnUNetTrainerNoDA):
    """No augmentation."""


class HyperSORTTrainerDA5(HyperSORTTrainer, nnUNetTrainerDA5):
    """nnU-Net's stronger augmentation."""


class HyperSORTTrainer_noDummy2DDA(HyperSORTTrainer, nnUNetTrainer_noDummy2DDA):
    """Augmentation in 3-D for anisotropic patches, too."""


class HyperSORTTrainerNoDeepSupervision(HyperSORTTrainer, nnUNetTrainerNoDeepSupervision):
    """A loss at full resolution only."""


class HyperSORTTrainerDiceLoss(HyperSORTTrainer, nnUNetTrainerDiceLoss):
    """Dice alone."""


class HyperSORTTrainerCELoss(HyperSORTTrainer, nnUNetTrainerCELoss):
    """Cross-entropy alone."""


class HyperSORTTrainerTopk10Loss(HyperSORTTrainer, nnUNetTrainerTopk10Loss):
    """Cross-entropy of the tenth of the voxels that have the largest."""


class HyperSORTTrainerDiceTopK10Loss(HyperSORTTrainer, nnUNetTrainerDiceTopK10Loss):
    """Dice, and cross-entropy of the tenth of the voxels that have the largest."""


class HyperSORTTrainer_probabilisticOversampling(HyperSORTTrainer, nnUNetTrainer_probabilisticOversampling):
    """Each patch has its own chance to be sampled around foreground."""
