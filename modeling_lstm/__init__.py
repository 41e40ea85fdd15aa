"""The LSTM text classifier, known to AutoModelForSequenceClassification once this package is imported."""

from transformers import AutoConfig, AutoModelForSequenceClassification

from .configuration_lstm import LstmConfig
from .modeling_lstm import LstmForSequenceClassification

AutoConfig.register(LstmConfig.model_type, LstmConfig)
AutoModelForSequenceClassification.register(LstmConfig, LstmForSequenceClassification)

__all__ = ["LstmConfig", "LstmForSequenceClassification"]
