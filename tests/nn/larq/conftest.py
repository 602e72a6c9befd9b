"""The marker of the tests that need Larq."""


def pytest_configure(config):
    config.addinivalue_line("markers", "larq: compares with Larq itself; needs an environment of its own")
