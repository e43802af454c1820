"""Export of networks to TorchScript and ONNX."""
