"""Prediction with a chosen latent."""

from nnunetv2_hypersort.prediction.predict import latent_for_prediction, predict_from_model_folder

__all__ = ["latent_for_prediction", "predict_from_model_folder"]
