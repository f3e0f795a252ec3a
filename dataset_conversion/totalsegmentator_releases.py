"""Facts about the published TotalSegmentator data sets: classes in the order of their ids, groups, licences, faults.

Class maps and groups are those of the project's `totalsegmentator/map_to_binary.py` (v1: of its release 1.5), the 56
classes of MRI v1 those of its README of that time (the project has no groups for them; here they follow those of MRI
v2). Ids count from 1 in the order given here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


def _names(text: str) -> list[str]:
    return text.split()


def _numbered(prefix: str, numbers: Sequence[object]) -> list[str]:
    return [f"{prefix}_{number}" for number in numbers]


def _both(first: str, second: str, *names: str) -> list[str]:
    return [f"{name}_{side}" for name in names for side in (first, second)]


_LUNG_LOBES = _names("""
    lung_upper_lobe_left lung_lower_lobe_left lung_upper_lobe_right lung_middle_lobe_right lung_lower_lobe_right
""")
_L5_TO_C1 = [
    f"vertebrae_{part}{number}" for part, most in (("L", 5), ("T", 12), ("C", 7)) for number in range(most, 0, -1)
]
_RIBS = [*_numbered("rib_left", range(1, 13)), *_numbered("rib_right", range(1, 13))]
_LIMB_BONES = _both("left", "right", "humerus", "scapula", "clavicula", "femur", "hip")
_TRUNK_MUSCLES = _both(
    "left", "right", "gluteus_maximus", "gluteus_medius", "gluteus_minimus", "autochthon", "iliopsoas"
)
_ILIAC_VESSELS = _both("left", "right", "iliac_artery", "iliac_vena")
_FIRST_ORGANS = _names("spleen kidney_right kidney_left gallbladder liver stomach")
_PANCREAS_ADRENALS = _names("pancreas adrenal_gland_right adrenal_gland_left")

_V1_ORGANS = [
    *_FIRST_ORGANS,
    *_names("aorta inferior_vena_cava portal_vein_and_splenic_vein"),
    *_PANCREAS_ADRENALS,
    *_LUNG_LOBES,
]
_V1_HEART = _names("""
    esophagus trachea heart_myocardium heart_atrium_left heart_ventricle_left heart_atrium_right heart_ventricle_right
    pulmonary_artery brain
""")
_BOWEL = _names("small_bowel duodenum colon")

CT_V1 = (
    *_V1_ORGANS,
    *_L5_TO_C1,
    *_V1_HEART,
    *_ILIAC_VESSELS,
    *_BOWEL,
    *_RIBS,
    *_LIMB_BONES,
    "sacrum",
    "face",
    *_TRUNK_MUSCLES,
    "urinary_bladder",
)
CT_V1_GROUPS: Mapping[str, Sequence[str]] = {
    "organs": _V1_ORGANS,
    "vertebrae": _L5_TO_C1,
    "cardiac": [*_V1_HEART, *_ILIAC_VESSELS, *_BOWEL, "urinary_bladder", "face"],
    "muscles": [*_LIMB_BONES, "sacrum", *_TRUNK_MUSCLES],
    "ribs": _RIBS,
}

_V2_ORGANS = [
    *_FIRST_ORGANS,
    *_PANCREAS_ADRENALS,
    *_LUNG_LOBES,
    *_names("esophagus trachea thyroid_gland"),
    *_BOWEL,
    *_names("urinary_bladder prostate kidney_cyst_left kidney_cyst_right"),
]
_V2_VERTEBRAE = ["sacrum", "vertebrae_S1", *_L5_TO_C1]
_V3_VERTEBRAE = ["sacrum", "vertebrae_L6", *_L5_TO_C1]
_V2_CARDIAC = [
    *_names("heart aorta pulmonary_vein brachiocephalic_trunk"),
    *_both("right", "left", "subclavian_artery", "common_carotid_artery"),
    *_both("left", "right", "brachiocephalic_vein"),
    *_names("atrial_appendage_left superior_vena_cava inferior_vena_cava portal_vein_and_splenic_vein"),
    *_ILIAC_VESSELS,
]
_V2_MUSCLES = [*_LIMB_BONES, "spinal_cord", *_TRUNK_MUSCLES, "brain", "skull"]
_V2_RIBS = [*_RIBS, "sternum", "costal_cartilages"]

CT_V2 = (*_V2_ORGANS, *_V2_VERTEBRAE, *_V2_CARDIAC, *_V2_MUSCLES, *_V2_RIBS)
CT_V3 = (*_V2_ORGANS, *_V3_VERTEBRAE, *_V2_CARDIAC, *_V2_MUSCLES, *_V2_RIBS)
CT_V2_GROUPS: Mapping[str, Sequence[str]] = {
    "organs": _V2_ORGANS,
    "vertebrae": _V2_VERTEBRAE,
    "cardiac": _V2_CARDIAC,
    "muscles": _V2_MUSCLES,
    "ribs": _V2_RIBS,
}
CT_V3_GROUPS: Mapping[str, Sequence[str]] = {**CT_V2_GROUPS, "vertebrae": _V3_VERTEBRAE}

_MRI_ORGANS = [
    *_FIRST_ORGANS,
    *_PANCREAS_ADRENALS,
    *_names("lung_left lung_right esophagus"),
    *_BOWEL,
    *_names("urinary_bladder prostate sacrum vertebrae intervertebral_discs spinal_cord"),
    *_names("heart aorta inferior_vena_cava portal_vein_and_splenic_vein"),
    *_ILIAC_VESSELS,
]
_MRI_MUSCLES = [*_LIMB_BONES, *_TRUNK_MUSCLES, "brain"]

MRI_V2 = (*_MRI_ORGANS, *_MRI_MUSCLES)
MRI_V2_GROUPS: Mapping[str, Sequence[str]] = {"organs": _MRI_ORGANS, "muscles": _MRI_MUSCLES}
_MRI_V1_MUSCLES = [
    *_both("left", "right", "humerus"),
    *_names("fibula tibia"),
    *_both("left", "right", "femur", "hip"),
    *_TRUNK_MUSCLES,
    *_both(
        "left", "right", "quadriceps_femoris", "thigh_medial_compartment", "thigh_posterior_compartment", "sartorius"
    ),
    "brain",
]
MRI_V1 = (*_MRI_ORGANS, *_MRI_V1_MUSCLES)
MRI_V1_GROUPS: Mapping[str, Sequence[str]] = {"organs": _MRI_ORGANS, "muscles": _MRI_V1_MUSCLES}

_CC_BY = "CC BY 4.0"
_CC_BY_NC_SA = "CC BY-NC-SA 2.0 (non-commercial)"
_ZENODO = "https://doi.org/10.5281/zenodo."

_CONTRAST = "its intensities are wrong in this release (TotalSegmentator#193)"
_EMPTY = "all its masks are empty in this release (TotalSegmentator#511); leave it out with --exclude"
_EMPTY_MRI = _names("""
    s0026 s0048 s0057 s0069 s0077 s0078 s0084 s0086 s0091 s0094 s0097 s0098 s0101 s0102 s0109 s0111 s0116 s0122 s0134
    s0136 s0140 s0141 s0150 s0152 s0165 s0196 s0330 s0374 s0376 s0405 s0431 s0438 s0449 s0454 s0458 s0461 s0480 s0482
    s0486 s0507 s0510 s0513 s0522 s0523 s0524 s0548 s0553 s0580 s0604 s0605
""")


@dataclass(frozen=True)
class Release:
    """One published release.

    Attributes:
        modality: "CT" or "MRI".
        version: As published, for example "2.0.1".
        archives: Names of the folders (and, with .zip, of the archives) that users download.
        subjects: Number of subjects.
        classes: Class names; the id of `classes[i]` is `i + 1`.
        groups: The project's own groups.
        licence: Its licence.
        reference: Its DOI.
        damaged: Case -> why its files are known to be unreadable.
        doubtful: Case -> what is known to be wrong with it.
    """

    modality: str
    version: str
    archives: tuple[str, ...]
    subjects: int
    classes: tuple[str, ...]
    groups: Mapping[str, Sequence[str]]
    licence: str
    reference: str
    damaged: Mapping[str, str] = field(default_factory=dict)
    doubtful: Mapping[str, str] = field(default_factory=dict)


RELEASES = (
    Release(
        modality="CT",
        version="1.0",
        archives=("Totalsegmentator_dataset",),
        subjects=1204,
        classes=CT_V1,
        groups=CT_V1_GROUPS,
        licence=_CC_BY,
        reference=_ZENODO + "6802614",
        damaged={"s0864": "its ct.nii.gz is damaged in release 1.0 (TotalSegmentator#24, #92)"},
    ),
    Release(
        modality="CT",
        version="2.0.0",
        archives=("Totalsegmentator_dataset_v2",),
        subjects=1228,
        classes=CT_V2,
        groups=CT_V2_GROUPS,
        licence=_CC_BY,
        reference=_ZENODO + "8367088",
        doubtful={
            **dict.fromkeys(("s0184", "s0224", "s0830", "s0992"), _CONTRAST),
            "s0864": "its intensities range from -9758 to 4349 in this release (TotalSegmentator#193)",
        },
    ),
    Release(
        modality="CT",
        version="2.0.1",
        archives=("Totalsegmentator_dataset_v201", "Totalsegmentator_dataset_small_v201"),
        subjects=1228,
        classes=CT_V2,
        groups=CT_V2_GROUPS,
        licence=_CC_BY,
        reference=_ZENODO + "10047292",
    ),
    Release(
        modality="CT",
        version="3.0.0",
        archives=("Totalsegmentator_dataset_v300",),
        subjects=1939,
        classes=CT_V3,
        groups=CT_V3_GROUPS,
        licence=_CC_BY,
        reference=_ZENODO + "6802613",
    ),
    Release(
        modality="MRI",
        version="1.0.0",
        archives=("TotalsegmentatorMRI_dataset_v100",),
        subjects=298,
        classes=MRI_V1,
        groups=MRI_V1_GROUPS,
        licence=_CC_BY_NC_SA,
        reference=_ZENODO + "11367005",
    ),
    Release(
        modality="MRI",
        version="2.0.0",
        archives=("TotalsegmentatorMRI_dataset_v200",),
        subjects=616,
        classes=MRI_V2,
        groups=MRI_V2_GROUPS,
        licence=_CC_BY_NC_SA,
        reference=_ZENODO + "14710732",
        doubtful=dict.fromkeys(_EMPTY_MRI, _EMPTY),
    ),
    Release(
        modality="MRI",
        version="3.0.0",
        archives=("TotalsegmentatorMRI_dataset_v300",),
        subjects=1296,
        classes=MRI_V2,
        groups=MRI_V2_GROUPS,
        licence=_CC_BY,
        reference=_ZENODO + "11367004",
    ),
)
