"""The digit autoencoder."""
