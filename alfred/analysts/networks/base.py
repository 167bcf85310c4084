"""What analysts share that train one network of torch on standardised windows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alfred.analysts.base import Analyst
from alfred.analysts.inputs import ReadsInputs
from alfred.analysts.networks.examples import make_examples, standardise_windows
from alfred.analysts.settings import NetworkSettings
from alfred.analysts.windows import compute_window_volatility, scale_by_horizon
from alfred.data.contexts import Contexts
from alfred.data.market import Market
from alfred.errors import ConfigError
from alfred.learning.devices import find_device
from alfred.learning.fitting import FittingReport, fit_module
from alfred.learning.settings import FittingSettings
from alfred.learning.tensors import load_state, read_tensors, write_tensors
from alfred.typing import FloatArray

Network = TypeVar("Network", bound=nn.Module)

_PIECE = 4096  # windows in one pass: memory stays bounded, whatever is asked for
_FILE = "model.safetensors"


class NetworkAnalyst(ReadsInputs, Analyst):
    """One network for all symbols, trained on returns in units of each window's volatility.

    A subclass builds the network, says its loss, and turns what it puts out into a forecast. The examples are moved to
    the device once and stay there as tensors; forecasts are made on the device and return to the CPU.

    Attributes:
        network_: The network, in eval mode after `fit`.
        report_: How training went; None after loading.
    """

    settings: NetworkSettings
    # Inputs are standardised: zero is a bar without a return, at the usual volume.
    missing = 0.0

    network_: nn.Module
    report_: FittingReport | None = None

    def __init__(self, settings: NetworkSettings) -> None:
        """Store the settings; which fields a window holds is one of them."""
        super().__init__(settings)
        self.fields = tuple(settings.fields)

    def fit(self, market: Market) -> Self:
        """Train from scratch on all windows with a known label; see the base class.

        A training that was killed goes on under `alfred.learning.watch.watch_training`.

        Args:
            market: Everything that may be known.

        Raises:
            ConfigError: The settings ask for a device that is not there.
            DataError: The history is too short, the market lacks a field, or the loss is not finite.
        """
        examples = make_examples(market, self.settings)
        device = find_device(self.settings.device)
        self.network_ = build_seeded(self._build, self.settings.seed).to(device)
        inputs, targets = (torch.from_numpy(array).to(device) for array in (examples.inputs, examples.targets))
        self.report_ = fit_split(
            self.network_,
            self._compute_loss,
            inputs,
            targets,
            n_train=examples.n_train,
            settings=self.settings.fitting,
            seed=self.settings.seed,
        )
        self._measure(inputs[examples.n_train :], targets[examples.n_train :])
        self._summarise(inputs)
        self.is_fitted = True
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields of a window; see the base class."""
        return self.fields

    def compute_mean(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the mean that is forecast in spreads of the window, `[B, H]`, so that gradients reach the inputs.

        Args:
            inputs: Standardised windows, `[B, C-1, F]`.

        Raises:
            ConfigError: This analyst does not say which of its answers is the mean.
        """
        raise ConfigError(
            f"analyst '{self.settings.label}' does not say which answer of its network is the mean; define compute_mean"
        )

    @abstractmethod
    def _build(self) -> nn.Module:
        """Return a fresh network; its chance comes from torch's global generator, which the caller seeds."""

    @abstractmethod
    def _compute_loss(self, batch: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """Return the mean loss of inputs `[B, C-1, F]` and targets `[B, H]`, a scalar."""

    def _measure(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Measure what is measured after training, on the examples that validate; nothing unless overridden."""

    def _summarise(self, inputs: torch.Tensor) -> None:
        """Take from all inputs what forecasts do not need; nothing unless overridden."""

    def _evaluate(self, inputs: torch.Tensor, compute: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """Return what a function makes of many inputs, in pieces, without gradients."""
        with torch.no_grad():
            return torch.cat([compute(inputs[i : i + _PIECE]) for i in range(0, max(len(inputs), 1), _PIECE)])

    def _prepare(self, contexts: Contexts) -> torch.Tensor:
        """Return windows as the network reads them, on its device, `[B, C-1, F]`.

        Raises:
            NotFittedError: `fit` was not called before.
        """
        self.require_fitted()
        device = next(self.network_.parameters()).device
        return torch.from_numpy(self.read_inputs(contexts)).to(device)

    def _make_inputs(self, contexts: Contexts) -> npt.NDArray[np.float32]:
        return standardise_windows(contexts)

    def _scale(self, contexts: Contexts) -> FloatArray:
        """Return the unit of the network's answers, the window's volatility over each horizon, `[B, H]`."""
        return scale_by_horizon(compute_window_volatility(contexts), self.horizons)

    def _save_weights(self, folder: Path) -> None:
        write_tensors(folder / _FILE, self.network_.state_dict())

    def _load_weights(self, folder: Path) -> None:
        tensors, _ = read_tensors(folder / _FILE)
        network = build_seeded(self._build, self.settings.seed)
        load_state(network, tensors, source=folder / _FILE)
        self.network_ = network.to(find_device(self.settings.device)).eval()


def build_seeded(build: Callable[[], Network], seed: int) -> Network:
    """Return a fresh network whose chance comes from a seed; torch's global generator is as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def fit_split(
    network: nn.Module,
    compute_loss: Callable[[tuple[torch.Tensor, ...]], torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
    *,
    n_train: int,
    settings: FittingSettings,
    seed: int,
) -> FittingReport:
    """Train a network on the first examples and choose the best step by the rest; see `fit_module`.

    Args:
        network: Trained in place.
        compute_loss: Mean loss of a batch of inputs and targets.
        inputs: Examples in the order of their dates, `[E, ...]`.
        targets: `[E, H]`.
        n_train: Examples to train on.
        settings: How.
        seed: Of the batches.
    """
    return fit_module(
        network,
        compute_loss,
        train=TensorDataset(inputs[:n_train], targets[:n_train]),
        validation=TensorDataset(inputs[n_train:], targets[n_train:]),
        settings=settings,
        seed=seed,
    )


def to_array(tensor: torch.Tensor) -> FloatArray:
    """Return a tensor as a float64 array on the CPU."""
    return np.asarray(tensor.detach().cpu().numpy(), dtype=np.float64)
