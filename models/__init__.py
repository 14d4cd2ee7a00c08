"""What the papers say, in PyTorch and NumPy. Knows nothing of ComfyUI, the nodes, or training."""
