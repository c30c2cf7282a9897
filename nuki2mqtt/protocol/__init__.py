"""Floor 1: how it is written. Pure codecs between bytes and the model."""
