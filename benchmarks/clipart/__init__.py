"""Real pairs without a hub: the pictures of Debian's package openclipart-svg, rendered, with prompts of their metadata.

python -m benchmarks.clipart --out runs/clipart-pairs    writes a folder of images as Hugging Face's imagefolder is
python -m benchmarks.clipart.weights runs/clipart-weights.safetensors    writes a small tower's pretrained weights
"""
