"""What a person would check before the first block, each with a remedy (`nunatak doctor`)."""
