"""Training that changes the towers themselves: pixels in, gradients a chunk at a time."""
