"""Networks as ONNX files, for programs that have no PyTorch (export_onnx.py).

    graphs       what is exported: networks behind the inputs and outputs of their contracts
    contracts    names, shapes, ranges and units of inputs and outputs; how to cut tiles
    half         float16 inside, float32 outside
    origins      where weights come from: licence, training data, hash
    models       PyTorch's exporter, the facts inside the file, and the comparison with PyTorch
    cards        the page beside the file

The packages onnx, onnxscript and onnxruntime are needed, the extra `onnx`.
"""
