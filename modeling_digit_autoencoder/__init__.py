"""The digit autoencoder, known to AutoModel once this package is imported."""

from transformers import AutoConfig, AutoModel

from .configuration_digit_autoencoder import DigitAutoencoderConfig
from .modeling_digit_autoencoder import DigitAutoencoderModel, DigitDecoder, DigitEncoder

AutoConfig.register(DigitAutoencoderConfig.model_type, DigitAutoencoderConfig)
AutoModel.register(DigitAutoencoderConfig, DigitAutoencoderModel)

__all__ = ["DigitAutoencoderConfig", "DigitAutoencoderModel", "DigitDecoder", "DigitEncoder"]
