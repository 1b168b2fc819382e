"""Models as ONNX graphs: per level a step, a row of prefill and the conditions; the codec's encoders and decoders."""
