"""Trainings whose cases are not annotated for the same labels."""
