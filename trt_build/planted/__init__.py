"""Structures planted into network images, and how well each cue of trust tells the images that have one."""
