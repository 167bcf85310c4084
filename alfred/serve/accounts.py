"""What the pages say about accounts on paper: what is booked, without a look at the run or its data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from alfred.errors import AlfredError
from alfred.keys.mistakes import explain_briefly
from alfred.serve.shelf import MIB, NotServed, Shelf
from alfred.training.live.account import ACCOUNT_FILE, JOURNAL_FILE, PaperAccount, Terms
from alfred.training.live.desk import Day

REPORT_FILE = "report.html"
_LIMITS = {ACCOUNT_FILE: 8 * MIB, JOURNAL_FILE: 64 * MIB}
_LEAST_SHOWN = 5e-5  # of wealth: less is 0.00 %


@dataclass(frozen=True)
class AccountCard:
    """An account.

    Attributes:
        name: Of its folder.
        shelf: Place of the folder of accounts among those that are shown.
        terms: What it is; None where it cannot be read.
        days: What is booked, the first decision first.
        fault: Why it cannot be read.
        has_report: Whether `alfred paper report` has written its page.
    """

    name: str
    shelf: int
    terms: Terms | None = None
    days: tuple[Day, ...] = ()
    fault: str = ""
    has_report: bool = False

    @property
    def href(self) -> str:
        """Path of its page."""
        return f"/accounts/{self.shelf}/{quote(self.name, safe='')}"

    def list_weights(self) -> list[tuple[str, float, float | None]]:
        """Return symbol, weight at the last close and decided weight, the largest first; cash stands last.

        The decision is None where the book is left alone.
        """
        if self.terms is None or not self.days:
            return []
        last = self.days[-1]
        decided = [None] * len(last.weights) if last.decision is None else [float(item) for item in last.decision]
        names = (*self.terms.symbols, "cash")
        rows = list(zip(names, (float(item) for item in last.weights), decided, strict=False))
        shown = [row for row in rows[:-1] if max(abs(row[1]), abs(row[2] or 0.0)) >= _LEAST_SHOWN]
        return [*sorted(shown, key=lambda row: -abs(row[1])), *rows[-1:]]


class Accounts:
    """The accounts of folders.

    Args:
        shelves: The folders.
    """

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        """Keep them; nothing is read yet."""
        self._shelves = tuple(shelves)

    def list_accounts(self) -> list[AccountCard]:
        """Return all accounts, by folder and name."""
        return [
            self.read(place, name)
            for place, shelf in enumerate(self._shelves)
            for name in shelf.list_folders()
            if shelf.has_file(name, ACCOUNT_FILE)
        ]

    def read(self, place: int, name: str) -> AccountCard:
        """Return an account; one that is damaged is said to be so.

        Args:
            place: Of its folder among the folders.
            name: Of the account.

        Raises:
            NotServed: There is none.
        """
        shelf = self.find_shelf(place)
        if not shelf.has_file(name, ACCOUNT_FILE):
            raise NotServed(f"there is no account '{name}' in this folder")
        folder = shelf.find(name)
        if fault := shelf.find_fault(folder, _LIMITS):
            return AccountCard(name, place, fault=fault)
        try:
            account = PaperAccount.open(folder)
            days = tuple(account.read_booked())
        except (AlfredError, OSError, ValueError, TypeError, RecursionError) as error:
            return AccountCard(name, place, fault=explain_briefly(error))
        return AccountCard(name, place, account.terms, days, has_report=shelf.has_file(name, REPORT_FILE))

    def find_shelf(self, place: int) -> Shelf:
        """Return a folder of accounts.

        Raises:
            NotServed: There is none at that place.
        """
        if not 0 <= place < len(self._shelves):
            raise NotServed("there is no such folder of accounts")
        return self._shelves[place]
