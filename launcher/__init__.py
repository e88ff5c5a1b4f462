"""One block: what a site allows, how a block is submitted and watched. Knows nothing of jobfiles."""
