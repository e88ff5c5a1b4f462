"""The roof: command line, settings files, progress, Flower. Owns no state."""
