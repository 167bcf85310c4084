"""The layouts of both generations of Toto, as their config.json names them."""

from __future__ import annotations

import math
from typing import Self

from pydantic import ConfigDict, Field, model_validator

from alfred.settings import Settings


class Toto1Config(Settings):
    """Sizes of a Toto 1.0, under the names of its `config.json`; keys that change nothing here are ignored.

    Attributes:
        patch_size: Steps of a patch, P.
        stride: Steps between two patches; only patches side by side are known.
        embed_dim: Channels of a token, E.
        num_layers: Layers.
        num_heads: Attention heads.
        mlp_hidden_dim: Channels of the gated network.
        dropout: Share dropped in training.
        spacewise_every_n_layers: One layer in so many attends across variates; -1 for none.
        spacewise_first: Whether it is the first of them rather than the last.
        k_components: Components of the mixture, K.
        stabilize_with_global: Whether the causal scale is held near that of the whole history.
        scale_factor_exponent: How near, in powers of ten.
    """

    model_config = ConfigDict(extra="ignore")

    patch_size: int = Field(default=64, ge=1)
    stride: int = Field(default=64, ge=1)
    embed_dim: int = Field(default=768, ge=2)
    num_layers: int = Field(default=12, ge=1)
    num_heads: int = Field(default=12, ge=1)
    mlp_hidden_dim: int = Field(default=3072, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    spacewise_every_n_layers: int = 12
    spacewise_first: bool = False
    k_components: int = Field(default=24, ge=1)
    stabilize_with_global: bool = True
    scale_factor_exponent: float = Field(default=10.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _read_released_names(cls, raw: dict[str, object]) -> dict[str, object]:
        """Take the components out of `output_distribution_kwargs`, and refuse scalers and heads of another kind."""
        values = dict(raw)
        for key, known in (
            ("scaler_cls", "CausalPatchStdMeanScaler"),
            ("output_distribution_classes", "MixtureOfStudentTsOutput"),
        ):
            if known not in str(values.get(key, known)):
                raise ValueError(f"{key} is {values[key]}, but only {known} is known")
        kwargs = values.get("output_distribution_kwargs") or {}
        if isinstance(kwargs, dict) and "k_components" in kwargs:
            values["k_components"] = kwargs["k_components"]
        return values

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.stride != self.patch_size:
            raise ValueError(f"stride {self.stride} must equal patch_size {self.patch_size}")
        if self.embed_dim % (2 * self.num_heads):
            raise ValueError(f"embed_dim {self.embed_dim} must be a multiple of twice num_heads {self.num_heads}")
        return self


class Toto2Config(Settings):
    """Sizes of a Toto 2.0, under the names of its `config.json`; keys that change nothing here are ignored.

    The defaults are those of the released 4m. Sizes that are left out follow from the others as in the reference.
    """

    model_config = ConfigDict(extra="ignore")

    patch_size: int = Field(default=32, ge=1)
    d_model: int = Field(default=256, ge=2)
    d_ff: int | None = Field(default=None, ge=1)
    num_heads: int = Field(default=4, ge=1)
    num_groups: int | None = Field(default=None, ge=1)
    qk_dim: int | None = Field(default=None, ge=4)
    v_dim: int | None = Field(default=None, ge=1)
    num_layers: int = Field(default=4, ge=1)
    layer_group_size: int = Field(default=4, ge=1)
    num_variate_layers_per_group: int = Field(default=1, ge=0)
    variate_layer_first: bool = False
    num_output_patches: int = 1
    pre_norm: bool = True
    norm_eps: float = Field(default=1e-4, gt=0)
    norm_include_weight: bool = False
    attn_bias: bool = True
    mlp_bias: bool = False
    qk_norm: bool = False
    qk_norm_include_weight: bool | None = None
    per_dim_scale: bool = True
    use_xpos: bool = True
    residual_mult: float = Field(default=0.75, gt=0)
    residual_attn_ratio: float = Field(default=5.136215466577748, gt=0)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.num_output_patches != 1 or not self.pre_norm:
            raise ValueError("only num_output_patches = 1 and pre_norm = true are known, as in every released size")
        if self.num_heads % self.groups or self.key_size % 4:
            raise ValueError(
                f"num_heads {self.num_heads} must be a multiple of num_groups {self.groups}, and qk_dim "
                f"{self.key_size} of 4"
            )
        return self

    @property
    def groups(self) -> int:
        """Key and value heads."""
        return self.num_groups or self.num_heads

    @property
    def key_size(self) -> int:
        """Channels of a query or key head."""
        return self.qk_dim or self.d_model // self.num_heads

    @property
    def value_size(self) -> int:
        """Channels of a value head."""
        return self.v_dim or self.key_size

    @property
    def qk_norm_weighted(self) -> bool:
        """Whether the norms of queries and keys have weights: as the other norms when left out."""
        return self.norm_include_weight if self.qk_norm_include_weight is None else self.qk_norm_include_weight

    @property
    def hidden(self) -> int:
        """Channels of the gated network: 8/3 of the width, rounded up to a multiple of 8."""
        return self.d_ff or (int(4 * self.d_model * 2 / 3) + 7) // 8 * 8

    def compute_taus(self) -> tuple[tuple[float, float], ...]:
        """Return the weight of each layer's attention and gated branch against the stream, `[L, 2]` (u-muP, 2024)."""
        mlp = self.residual_mult * math.sqrt(2 / (1 + self.residual_attn_ratio**2))
        attention = self.residual_attn_ratio * mlp
        taus = []
        for branch in range(2 * self.num_layers):
            share = mlp if branch % 2 else attention
            before = self.num_layers + (branch + 1) // 2 * attention**2 + branch // 2 * mlp**2
            taus.append(share / math.sqrt(before))
        return tuple(zip(taus[::2], taus[1::2], strict=True))
