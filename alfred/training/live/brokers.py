"""Brokers: where the orders of an account go, and where its fills come from. One class each.

A broker of one's own is a plug-in: a class with `place` and `fetch`, registered with `BROKERS.register(Mine, "mine")`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from alfred.data.files import require_file, write_atomically
from alfred.errors import DataError
from alfred.registry import Registry

_FILL_COLUMNS = ("date", "symbol", "shares", "price")


@dataclass(frozen=True)
class Order:
    """What is to be traded at the next execution.

    Attributes:
        decided_on: ISO date of the close at which it was decided.
        symbol: What.
        shares: How many; negative to sell.
        price: Close on which the number of shares is based.
        weight: Target weight.
    """

    decided_on: str
    symbol: str
    shares: float
    price: float
    weight: float

    @property
    def key(self) -> str:
        """Name of the order; a broker that is handed one twice trades it once."""
        return f"{self.decided_on}-{self.symbol}"


@dataclass(frozen=True)
class Fill:
    """What was traded.

    Attributes:
        date: ISO date of the session.
        symbol: What.
        shares: How many; negative where sold.
        price: At which price.
        fee: What was paid beside it, in the currency of the prices.
    """

    date: str
    symbol: str
    shares: float
    price: float
    fee: float = 0.0


class Broker(Protocol):
    """Takes orders and reports fills. It is made with the folder of the account."""

    def __init__(self, folder: Path) -> None:
        """Open the broker for one account."""

    def place(self, decided_on: str, orders: Sequence[Order]) -> None:
        """Hand over all orders of one decision.

        A step that was killed hands over the same orders again: what is known by its `Order.key` must not be traded a
        second time.
        """

    def fetch(self) -> list[Fill]:
        """Return every fill of the account so far.

        Raises:
            DataError: The fills cannot be read.
        """


class CsvBroker:
    """Orders out and fills in as CSV files, for whoever trades by hand or has a script of their own.

    `orders/DATE.csv` holds the orders that were decided at the close of DATE: `key,symbol,shares,price,weight`.
    `fills/*.csv` hold what was traded: `date,symbol,shares,price` and, where there are any, `fee`.
    """

    def __init__(self, folder: Path) -> None:
        """Store the folder of the account."""
        self.folder = folder

    def place(self, decided_on: str, orders: Sequence[Order]) -> None:
        """Write the orders; the same file again where they were written before."""
        rows = [(item.key, item.symbol, repr(item.shares), repr(item.price), repr(item.weight)) for item in orders]
        text = "".join(f"{','.join(row)}\n" for row in [("key", "symbol", "shares", "price", "weight"), *rows])
        target = self.folder / "orders" / f"{decided_on}.csv"
        write_atomically(target, lambda path: path.write_text(text, encoding="utf-8"))

    def read_orders(self) -> list[Order]:
        """Return all orders that were written.

        Raises:
            DataError: A file of them was changed to something else.
        """
        found = []
        for path in sorted((self.folder / "orders").glob("*.csv")):
            try:
                table = pd.read_csv(require_file(path), dtype={"symbol": str}, keep_default_na=False)
                rows = zip(table["symbol"], table["shares"], table["price"], table["weight"], strict=True)
                found += [Order(path.stem, name, *map(float, numbers)) for name, *numbers in rows]
            except (OSError, ValueError, KeyError) as error:
                raise DataError(f"{path} holds no orders ({error}); restore it, or take it away") from error
        return found

    def fetch(self) -> list[Fill]:
        """Read all files of fills, in the order of their names."""
        found = []
        for path in sorted((self.folder / "fills").glob("*.csv")):
            found += read_fills(path)
        return found


def read_fills(path: Path) -> list[Fill]:
    """Read one file of fills.

    Raises:
        DataError: It cannot be read, or a row is none; file, row and value are named.
    """
    try:
        table = pd.read_csv(require_file(path), dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({' '.join(str(error).split())})") from error
    missing = [name for name in _FILL_COLUMNS if name not in table]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; fills need {', '.join(_FILL_COLUMNS)}")
    found = []
    for number, row in enumerate(table.to_dict("records"), start=2):
        try:
            day = pd.Timestamp(row["date"]).date().isoformat()
            shares, price, fee = (float(row.get(name) or 0.0) for name in ("shares", "price", "fee"))
        except (ValueError, TypeError) as error:
            raise DataError(f"row {number} of {path} is no fill ({error})") from error
        if not (math.isfinite(shares) and math.isfinite(price) and math.isfinite(fee)) or price <= 0 or shares == 0:
            raise DataError(
                f"row {number} of {path} is no fill: shares {row['shares']}, price {row['price']}; shares must not be "
                "0 and the price must be positive"
            )
        found.append(Fill(day, str(row["symbol"]), shares, price, fee))
    return found


BROKERS: Registry[Broker] = Registry("broker", "alfred.brokers", {"csv": f"{__name__}:CsvBroker"}, {})
"""All brokers by name."""
