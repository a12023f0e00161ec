"""Mean of the weights of several runs, calibrated anew.

Called as ``python training/mean.py WEIGHTS WEIGHTS ... --out OUT --validate RUN.toml``. The card
is that of the last run, with the figures of the mean on the validation samples of RUN.toml.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from xsubpix.networks.cards import read_card
from xsubpix.networks.weights import load_network, save_network
from xsubpix.training.config import TrainConfig
from xsubpix.training.validation import validation_samples


def main() -> None:
    """Read the weights of all runs and write their mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, nargs="+", help="of one architecture")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--validate", type=Path, required=True, metavar="RUN.toml")
    parser.add_argument("--reach", type=int, default=64, help="what is found, pixels")
    options = parser.parse_args()
    networks = [load_network(path) for path in options.weights]
    states = [network.state_dict() for network in networks]
    network = networks[-1]
    network.load_state_dict(
        {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    )
    samples = validation_samples(TrainConfig.from_file(options.validate), None)
    found = samples.measure(network, torch.device("cpu"))
    print(found)
    card = read_card(options.weights[-1]) | {
        "calibration": {"sigma": found.sigma},
        "reach": options.reach,
        "figures": {"validation": found.to_dict()},
    }
    save_network(options.out, network, card)


if __name__ == "__main__":
    main()
