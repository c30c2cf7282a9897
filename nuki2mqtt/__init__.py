"""Nuki locks and openers on MQTT."""

__version__ = "0.1.0"
# A wall clock that lies before this day is wrong.
__build_date__ = "2026-11-22"
