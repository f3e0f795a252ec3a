"""HyperSORT: a latent per training case, and weights made from it."""
