"""The version, in a module of its own: through a bundle's door the package itself is called ``scripts``."""

__version__ = "0.1.0"
