"""The tree viewer: what a page shows of every tree, its outline and each node."""
