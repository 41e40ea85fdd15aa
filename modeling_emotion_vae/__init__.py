"""The valence-arousal VAE, known to AutoModel once this package is imported."""

from transformers import AutoConfig, AutoModel

from .configuration_emotion_vae import EmotionVAEConfig
from .modeling_emotion_vae import EmotionVAEModel
from .outputs import EmotionPrediction, EmotionVAEOutput

AutoConfig.register(EmotionVAEConfig.model_type, EmotionVAEConfig)
AutoModel.register(EmotionVAEConfig, EmotionVAEModel)

__all__ = ["EmotionPrediction", "EmotionVAEConfig", "EmotionVAEModel", "EmotionVAEOutput"]
