"""The comparison of `benchmarks.rewards` on a GPU: random weights of 0.5 to 1.5 B parameters, bfloat16, utilisation.

Without a GPU it says so and ends well. FLOPs are counted as executed: what a way forwards twice counts twice.
"""

import argparse
import os
from statistics import median

from benchmarks.peers import WAYS, Body, Known, Settings, Shape, build, choose_size, make_groups, require_trl, tidy

BODIES = {
    "qwen2-0.5b": Body("qwen2", 896, 24, 14, 2, 64, 4864, 151_936),
    "llama-1b": Body("llama", 2048, 16, 32, 8, 64, 8192, 128_256),
    "qwen2-1.5b": Body("qwen2", 1536, 28, 12, 2, 128, 8960, 151_936),
}
PROMPTS, OUTPUTS, OUTPUT, UPDATE = (1024, 4096, 8192), (2, 4, 8), 256, 4
COMPARED = ("trl", "once", "rrm")
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}  # dense bfloat16, operations a second, by the data sheets


def flops(body: Body, shape: Shape, way: str) -> float:
    """Operations of training on one group: six a weight and token, and twelve a layer, channel and attended pair.

    Embeddings, norms and the head are left out. Ours computes of its last layer only keys and values but at the
    outputs' last tokens, so that is what is counted.
    """
    P, C, k = shape.prompt, shape.output, shape.outputs
    channels = body.heads * body.head
    keys = 2 * body.hidden * body.key_heads * body.head
    rest = 2 * body.hidden * channels + 3 * body.hidden * body.mlp  # queries, the way out, the MLP
    if way == "rrm":
        attended = P * (P + 1) / 2 + k * (C * P + C * (C + 1) / 2)
        every = 6 * (P + k * C) * (body.layers * keys + (body.layers - 1) * rest) + 6 * k * rest
        return every + 12 * channels * ((body.layers - 1) * attended + k * (P + C))
    rows, T = {"trl": k * (k - 1), "adjacent": 2 * (k - 1), "once": k}[way], P + C
    return rows * (6 * T * body.layers * (keys + rest) + 12 * channels * body.layers * T * (T + 1) / 2)


def measure(name: str, shape: Shape, times: int, known: Known, peak: float) -> None:
    """Train every way by turns on one update of four prompts and print a row for each."""
    import torch

    body, settings = BODIES[name], Settings(prompts=UPDATE, autocast=True, device="cuda")
    groups = make_groups(shape, UPDATE, 0, body.vocabulary, "cuda")
    sizes = {way: choose_size(way, shape, body, settings, known, times=2) for way in COMPARED}
    seconds: dict[str, list[float]] = {way: [] for way in COMPARED}
    memory = dict.fromkeys(COMPARED, 0)
    for _ in range(times):
        for way, size in sizes.items():
            if size is not None:
                torch.cuda.reset_peak_memory_stats()
                seconds[way].append(WAYS[way].train(build(body, device="cuda"), groups, settings, size).seconds)
                memory[way] = max(memory[way], torch.cuda.max_memory_allocated())
                tidy("cuda")
    for way in COMPARED:
        start = f"| {name} | {shape.prompt} | {shape.outputs} | {WAYS[way].title} |"
        if not seconds[way]:
            print(f"{start} out of memory | | | | |", flush=True)
            continue
        took = median(seconds[way])
        ratio = f"{median(seconds['trl']) / took:.2f}" if seconds["trl"] else ""
        used = f"{UPDATE * flops(body, shape, way) / took / peak:.0%}" if peak else "unknown"
        print(f"{start} {sizes[way]} | {took:.3f} | {ratio} | {used} | {memory[way] / 2**30:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest model and the shortest prompt, once")
    parser.add_argument("--body", choices=BODIES, action="append", help="which models (default: all)")
    parser.add_argument("--peak", type=float, metavar="TFLOPS", help="the card's dense bfloat16 peak, if unknown to us")
    options = parser.parse_args()
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # TRL refuses several cards in one process
    import torch

    if not torch.cuda.is_available():
        print("No GPU was at hand: nothing was measured.")
        return
    require_trl()
    card = torch.cuda.get_device_name(0)
    known_peak = next((peak for name, peak in PEAKS.items() if name in card), 0.0)
    peak = options.peak * 1e12 if options.peak else known_peak
    print(f"{card}, torch {torch.__version__}, bfloat16 autocast, C={OUTPUT}, one update of {UPDATE} prompts\n")
    print("| model | P | k | way | micro-batch | seconds | times TRL | utilisation | peak GiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in options.body or (["qwen2-0.5b"] if options.quick else BODIES):
        known: Known = {}
        for prompt in PROMPTS[:1] if options.quick else PROMPTS:
            for outputs in OUTPUTS:
                measure(name, Shape(prompt, OUTPUT, outputs), 1 if options.quick else 5, known, peak)


if __name__ == "__main__":
    main()
