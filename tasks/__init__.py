"""One jobfile: what it says, when it is done, how it is run. Knows nothing of blocks."""
