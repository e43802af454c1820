"""Cost of training steps and of inference."""
