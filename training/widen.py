"""Put weights into a network that sees more: channels that are new begin at zero.

Called as ``python training/widen.py WEIGHTS OUT [--architecture unet]``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file

from xsubpix.networks import build_network
from xsubpix.networks.weights import save_network


def main() -> None:
    """Read weights of fewer channels and write those of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--architecture", default="unet")
    options = parser.parse_args()
    network = build_network(options.architecture)
    state = network.state_dict()
    for name, values in load_file(options.weights).items():
        wide = torch.zeros_like(state[name])
        wide[tuple(slice(0, n) for n in values.shape)] = values.float()
        state[name] = wide
    network.load_state_dict(state)
    save_network(options.out, network, {"licence": "BSD-3-Clause"}, half=False)


if __name__ == "__main__":
    main()
