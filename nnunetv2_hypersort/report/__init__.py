"""One HTML file that shows the latents, styles and cases of a model."""

from nnunetv2_hypersort.report.write_report import write_report

__all__ = ["write_report"]
