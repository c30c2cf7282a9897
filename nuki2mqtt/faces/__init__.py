"""Floor 5: the doors for people."""
