"""The valence-arousal VAE."""
