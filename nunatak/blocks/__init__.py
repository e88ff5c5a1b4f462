"""Blocks as the roof deals with them: one step of scaling, its loops, what is submitted by hand, what is said of it."""
