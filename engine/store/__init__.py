"""The model store: a model is a folder of ``model.json`` and safetensors files (DESIGN.md §5).

What needs torch is imported when it is first asked for, so that a model can be looked at, and run by another
runtime, without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.store.config import ModelConfig, starter_config
from engine.store.files import read_config
from engine.store.home import known_models, model_folder, models_home

if TYPE_CHECKING:
    from engine.store.folder import Model, load_codec, load_model, save_model

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


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("engine.store.folder"), name)
    raise AttributeError(f"module 'engine.store' has no attribute '{name}'")
