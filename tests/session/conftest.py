from tests.bridge.conftest import start_session

__all__ = ["start_session"]
