"""What agents that learn can be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from alfred.settings import Settings

NetworkKind = Literal["shared", "attention", "flat", "tilt"]


class AgentSettings(Settings):
    """What every agent that learns can be told; each adds its own.

    Attributes:
        kind: Which agent, a key of the registry.
        name: Name in tables; the kind when left out.
        network: Which network; see `alfred.agents.networks.NetworkSpec`.
        hidden: Widths of its hidden layers.
        temperature: Logits per unit that the network puts out. An agent that explores in scores cannot leave equal
            weights in time when it is 1, and concentrates too early when it is much more than 3.
        total_steps: Environment steps to learn from.
        validate_every: Environment steps between two validations.
        validation_blocks: Parts of the training and validation range that are held out in turn, so that checkpoints are
            judged on all of it; see `alfred.training.cross_fitting.choice`. With 1, they are judged on the validation
            range alone.
        patience: Validations without a new best after which training stops; None never stops early.
        averaging: What is validated and kept is a running average of the network over updates, in which each update
            before counts this much of the one after (Polyak and Juditsky, 1992): single updates follow the luck of
            their days, and a book that wobbles with them pays for it in turnover. Zero keeps the network itself.
        checkpoint_every: Environment steps between two checkpoints, from which a killed training goes on.
    """

    kind: str
    name: str | None = None
    network: NetworkKind = "shared"
    hidden: tuple[int, ...] = Field(default=(32, 32), min_length=1)
    temperature: float = Field(default=3.0, gt=0)
    total_steps: int = Field(default=200_000, ge=1)
    validate_every: int = Field(default=32_768, ge=1)
    validation_blocks: int = Field(default=4, ge=1, le=20)
    patience: int | None = Field(default=None, ge=1)
    averaging: float = Field(default=0.95, ge=0, lt=1)
    checkpoint_every: int = Field(default=65_536, ge=1)

    @property
    def label(self) -> str:
        """The name, or the kind when no name was given."""
        return self.name or self.kind


class DirectSettings(AgentSettings):
    """Settings of `DirectAgent`.

    Attributes:
        n_portfolios: Portfolios that walk through random windows at once, P.
        horizon: Decisions that a gradient reaches back.
        episode_length: Decisions from a start in cash to the next one, a multiple of `horizon` at best.
        learning_rate: Of Adam, falling along a half cosine to a twentieth.
        weight_decay: Pull of every weight towards zero (Loshchilov and Hutter, 2019).
        noise: Standard deviation of what is added to each signal in training, in its own units: it keeps a network
            from learning single days by heart.
        log_every: Updates between two points of a TensorBoard curve.
    """

    kind: Literal["direct"] = "direct"
    network: NetworkKind = "tilt"
    total_steps: int = Field(default=1_000_000, ge=1)
    validate_every: int = Field(default=25_000, ge=1)
    patience: int | None = Field(default=8, ge=1)
    n_portfolios: int = Field(default=256, ge=1, le=65_536)
    horizon: int = Field(default=16, ge=1)
    episode_length: int = Field(default=256, ge=2)
    learning_rate: float = Field(default=1e-2, gt=0)
    weight_decay: float = Field(default=1e-3, ge=0)
    noise: float = Field(default=0.0, ge=0)
    log_every: int = Field(default=10, ge=1)


class LearnerSettings(AgentSettings):
    """What every agent of stable-baselines3 can be told; each adds its own.

    Attributes:
        n_envs: Portfolios stepped in lock-step.
        episode_length: Decisions in a training episode, from a random start.
        learning_rate: Of Adam, falling linearly to a fiftieth.
        gamma: Discount. Actions do not move the market, so that a long horizon only adds noise.
    """

    n_envs: int = Field(default=64, ge=1)
    episode_length: int = Field(default=64, ge=2)
    learning_rate: float = Field(default=1e-3, gt=0)
    gamma: float = Field(default=0.5, ge=0, lt=1)

    def schedule(self) -> Callable[[float], float]:
        """Return the learning rate as a function of what is left of the training, from 1 to 0."""
        return lambda left: self.learning_rate * (0.02 + 0.98 * left)


class OnPolicySettings(LearnerSettings):
    """What PPO and A2C share.

    Attributes:
        greedy_baseline: Whether a reward counts beyond what a copy earns that does not explore; see
            `alfred.agents.sb3.greedy_baseline`. It leaves out what is the same for both, the reference of an `excess`
            reward among it.
        head: `gaussian` explores by noise on scores, `dirichlet` by drawing the weights themselves.
        noise: Standard deviation of the noise at the start, in units of what the network puts out (`gaussian`), or as
            `alfred.agents.sb3.dirichlet.DirichletWeights` has it.
        final_noise: The same at the end. Noise falls from one to the other by the same factor every step: much of it
            lets the policy move fast, and costs so much to trade that the policy learns to avoid it.
        n_steps: Steps of each portfolio between two updates.
        gae_lambda: Decay of the advantage estimate.
        ent_coef: Weight of the entropy bonus; it moves the Dirichlet head only, the Gaussian noise has its schedule.
        vf_coef: Weight of the critic's loss.
        warm_start: Settings of a direct agent whose network the training starts from, or None.
    """

    network: NetworkKind = "tilt"
    n_envs: int = Field(default=128, ge=1)
    learning_rate: float = Field(default=2e-3, gt=0)
    gamma: float = Field(default=0.8, ge=0, lt=1)
    averaging: float = Field(default=0.99, ge=0, lt=1)
    greedy_baseline: bool = True
    head: Literal["gaussian", "dirichlet"] = "gaussian"
    noise: float = Field(default=0.1, gt=0)
    final_noise: float = Field(default=0.05, gt=0)
    n_steps: int = Field(default=8, ge=1)
    gae_lambda: float = Field(default=0.9, ge=0, le=1)
    ent_coef: float = Field(default=0.0, ge=0)
    vf_coef: float = Field(default=0.5, ge=0)
    warm_start: DirectSettings | None = None


class PpoSettings(OnPolicySettings):
    """Settings of `PpoAgent`. The defaults are those that recover a planted signal; see `docs/agents.md`.

    Attributes:
        batch_size: Samples in a gradient step.
        n_epochs: Passes over the samples of an update.
        clip_range: Clip of the probability ratio, which is that of all assets together.
    """

    kind: Literal["ppo"] = "ppo"
    batch_size: int = Field(default=1024, ge=2)
    n_epochs: int = Field(default=2, ge=1)
    clip_range: float = Field(default=2.0, gt=0)


class A2cSettings(OnPolicySettings):
    """Settings of `A2cAgent`: one gradient step an update, and many updates."""

    kind: Literal["a2c"] = "a2c"


class RecurrentPpoSettings(PpoSettings):
    """Settings of `RecurrentPpoAgent`.

    Attributes:
        state_size: Width of the memory.
        n_steps: Steps of each portfolio between two updates, and how far back a gradient reaches into the memory.
    """

    kind: Literal["recurrent_ppo"] = "recurrent_ppo"  # type: ignore[assignment]
    network: NetworkKind = "shared"
    n_steps: int = Field(default=32, ge=1)
    state_size: int = Field(default=16, ge=1)


class OffPolicySettings(LearnerSettings):
    """What the off-policy agents share.

    Attributes:
        noise: Standard deviation of exploration at the start, in units of what the network puts out.
        buffer_size: Transitions remembered.
        batch_size: Transitions in a gradient step.
        gradient_steps: Gradient steps after each step of all portfolios.
        tau: Share by which target networks follow.
        log_every: Episodes between two points of a TensorBoard curve.
    """

    n_envs: int = Field(default=16, ge=1)
    total_steps: int = Field(default=100_000, ge=1)
    noise: float = Field(default=0.3, gt=0)
    buffer_size: int = Field(default=100_000, ge=1)
    batch_size: int = Field(default=512, ge=2)
    gradient_steps: int = Field(default=1, ge=1)
    tau: float = Field(default=0.005, gt=0, le=1)
    log_every: int = Field(default=16, ge=1)


class SacSettings(OffPolicySettings):
    """Settings of `SacAgent`.

    Attributes:
        entropy_start: Entropy coefficient at the start; it is learned. Rewards are per cent a day, so that one, the
            algorithm's usual start, would drown them.
    """

    kind: Literal["sac"] = "sac"
    entropy_start: float = Field(default=0.01, gt=0)


class TqcSettings(OffPolicySettings):
    """Settings of `TqcAgent`.

    Attributes:
        entropy_start: Entropy coefficient at the start; it is learned. See `SacSettings`.
    """

    kind: Literal["tqc"] = "tqc"
    entropy_start: float = Field(default=0.01, gt=0)


class Td3Settings(OffPolicySettings):
    """Settings of `Td3Agent`."""

    kind: Literal["td3"] = "td3"


class DdpgSettings(OffPolicySettings):
    """Settings of `DdpgAgent`."""

    kind: Literal["ddpg"] = "ddpg"
