"""Settings of all tests."""

import os
from pathlib import Path

import hypothesis
import pytest

import dynsample

hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    site = os.environ.get("DYNSAMPLE_SANITIZED")
    if site and not Path(dynsample.__file__).is_relative_to(site):
        pytest.exit(f"the sanitized build in {site} was not the one imported", returncode=3)
