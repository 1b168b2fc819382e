from tests.bridge.conftest import riff, start_session

__all__ = ["riff", "start_session"]
