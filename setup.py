"""Package layout; the metadata stands in pyproject.toml."""

from setuptools import find_packages, setup

# `dataset_conversion/` and `configs/` stand at the top of the repository, where nnU-Net users look for
# them, and are installed inside the package, so that site-packages gets no generic names.
setup(
    packages=[
        *find_packages(include=["nnunetv2_hypersort", "nnunetv2_hypersort.*"]),
        "nnunetv2_hypersort.dataset_conversion",
        *(f"nnunetv2_hypersort.dataset_conversion.{part}" for part in find_packages("dataset_conversion")),
        "nnunetv2_hypersort.configs",
    ],
    package_dir={
        "nnunetv2_hypersort.dataset_conversion": "dataset_conversion",
        "nnunetv2_hypersort.configs": "configs",
    },
    package_data={
        "nnunetv2_hypersort": ["py.typed", "ext_trainer/*.py"],
        "nnunetv2_hypersort.report": ["page/*"],
        "nnunetv2_hypersort.configs": ["*/*.yaml"],
    },
)
