"""The model store: a model is a folder of ``model.json`` and safetensors files (DESIGN.md §5)."""

from engine.store.config import ModelConfig, starter_config
from engine.store.folder import Model, load_codec, load_model, model_folder, read_config, save_model

__all__ = [
    "Model",
    "ModelConfig",
    "load_codec",
    "load_model",
    "model_folder",
    "read_config",
    "save_model",
    "starter_config",
]
