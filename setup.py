"""Name the packages below `src`, which is itself the package `boxoffice`; all else stands in pyproject.toml."""

from setuptools import find_namespace_packages, setup

setup(
    packages=["boxoffice", *(f"boxoffice.{name}" for name in find_namespace_packages("src", exclude=["*__pycache__*"]))]
)
