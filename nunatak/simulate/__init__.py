"""Campaigns on simulated time: what a block shape and a start policy cost, before anything is submitted."""
