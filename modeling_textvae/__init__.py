"""The text VAE. Importing this registers it with `AutoConfig` and `AutoModel`.

The other files of this folder travel to the Hub with the weights and need only torch and transformers.
"""

from transformers import AutoConfig, AutoModel

from .configuration_textvae import TextVAEConfig
from .modeling_textvae import TextVAEModel, TextVAEOutput
from .posterior import Posterior

AutoConfig.register(TextVAEConfig.model_type, TextVAEConfig)
AutoModel.register(TextVAEConfig, TextVAEModel)

__all__ = ["Posterior", "TextVAEConfig", "TextVAEModel", "TextVAEOutput"]
