"""Compiled training: a network as a list of operations, and the C library that runs whole epochs of them."""
