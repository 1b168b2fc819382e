"""The model store: a model is a folder of ``model.json`` and safetensors files (DESIGN.md §5)."""

from engine.store.config import ModelConfig, starter_config
from engine.store.folder import Model, load_codec, load_model, read_config, save_model
from engine.store.home import known_models, model_folder, models_home

__all__ = [
    "Model",
    "ModelConfig",
    "known_models",
    "load_codec",
    "load_model",
    "model_folder",
    "models_home",
    "read_config",
    "save_model",
    "starter_config",
]
