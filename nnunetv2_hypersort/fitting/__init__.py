"""The latent of new cases, fitted to their labels."""
