"""Nuki locks and openers on MQTT."""

__version__ = "0.1.0"
