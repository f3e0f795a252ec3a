"""Faults on purpose: trainings killed at any moment, and damaged files of trained models."""
