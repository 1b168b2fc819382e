"""Where the command line keeps what it makes when nobody says otherwise."""

from engine.folders import default_takes

__all__ = ["default_takes"]
