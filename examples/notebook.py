"""alfred in a notebook: your table, your signals, your agent, one honest verdict. Each `# %%` is a cell.

Run it with `.venv/bin/python examples/notebook.py`.
"""

# %% A market from a table: a file, a frame of pandas or polars, or the embedded stocks
import gymnasium as gym
import numpy as np
import pandas as pd
from stable_baselines3 import PPO

import alfred

embedded = alfred.load_market(start="2010-01-01")
closes = pd.DataFrame(embedded.close, index=embedded.dates, columns=embedded.symbols)
market = alfred.load_market(closes, benchmark="SP500TR", investable=list(embedded.universe))

# %% Signals of your own: dates x symbols, each row known at the close of its date
momentum = np.log(closes).diff(126)
reversal = -np.log(closes).diff(5)
signals = alfred.make_signals({"momentum": momentum, "reversal": reversal}, market)

# %% An environment as gymnasium has it, and a plain agent of stable-baselines3 on it
settings = alfred.PortfolioSettings(cost_bps=5, slippage_bps=0, episode_length=63)
train_end = "2018-12-31"
env = gym.make(
    "alfred/Portfolio-v0",
    market=market.until(train_end),
    signals=signals.until(train_end),
    settings=settings,
)
model = PPO("MultiInputPolicy", env, n_steps=256, batch_size=256, gamma=0.5, seed=0)
model.learn(2_048)

# %% Judged on sessions that it has not seen, beside the benchmark and equal weight
result = alfred.backtest(model, market, signals, settings=settings, start="2019-01-02", name="my ppo")
print(result.headline)
print(result.summary.round(2))
print(result.weights.iloc[-1].round(3).nlargest(5))
print(result.trades.head())


# %% A function, or a table of weights, is judged in the same way
def hold_the_winners(observation):
    """Equal weights of the five symbols with the highest momentum signal."""
    scores = np.where(observation["tradable"] > 0, observation["signals"][:, 0], -np.inf)
    weights = np.zeros(len(scores))
    weights[np.argsort(scores)[-5:]] = 0.2
    return weights


winners = alfred.backtest(hold_the_winners, market, signals, start="2019-01-02", n_trials=2)
monthly = momentum.rank(axis=1).iloc[::21].drop(columns="SP500TR").dropna()
table = alfred.backtest(monthly.div(monthly.sum(axis=1), axis=0), market, start="2019-01-02", name="momentum ranks")
print(winners.headline, "|", table.headline)

# %% The page of a report, in the notebook or in a folder
page = table.report("runs/notebook")
print(f"{len(page.text) // 1000} kB in runs/notebook/report.html")
