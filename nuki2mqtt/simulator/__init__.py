"""A house full of Nuki devices, for tests and for people without hardware."""
