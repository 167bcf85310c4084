"""Tags that several modules write, and the charts that put them side by side."""

from __future__ import annotations

from alfred.learning.events import Layout

BEYOND_START = "1_validation/beyond_start_pct_a_year"
UTILITY, SHARPE = "1_validation/utility_pct_a_year", "1_validation/sharpe"
SEEDS = "1_validation_seeds/beyond_start_pct_a_year"
REWARD, TRAINED_REWARD = "1_validation/reward", "2_train/reward"
RESULT = "4_result"
# Columns of the hparams tab, as far as there are such scalars.
COLUMNS = tuple(
    f"{RESULT}/{name}"
    for name in (
        "chosen_step",
        "gain_pct_a_year",
        "test_turnover_a_year",
        "test_sharpe",
        "test_sharpe_beyond_equal_weight",
        "validation_sharpe",
    )
)

# A margin chart draws three tags that are named in full; a multiline chart draws every tag that an expression finds.
LAYOUT: Layout = {
    "1. Validation": {
        "utility beyond the start, % a year: mean, lowest and highest of the seeds": [
            "Margin",
            [f"{SEEDS}_mean", f"{SEEDS}_low", f"{SEEDS}_high"],
        ],
        "utility beyond the start, % a year: every training": ["Multiline", [f"^{BEYOND_START}$"]],
    },
    "2. Train against validation": {
        "reward of a decision": ["Multiline", [f"^{TRAINED_REWARD}$", f"^{REWARD}$"]],
    },
    "3. Analysts": {
        "loss": ["Multiline", ["^6_analyst_loss/train$", "^6_analyst_loss/validation$"]],
    },
}
