"""The diffusion engine: tensors only, no files but checkpoints."""
