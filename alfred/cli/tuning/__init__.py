"""`alfred tune`: search configurations with Optuna, resumed after a kill, and see what was found."""

from __future__ import annotations

import typer

from alfred.cli.tuning import report
from alfred.cli.tuning.agents import agents
from alfred.cli.tuning.analysts import analysts
from alfred.cli.tuning.models import models

app = typer.Typer(
    help="Search configurations with Optuna; the same command goes on after a kill.", no_args_is_help=True
)
app.command()(analysts)
app.command()(models)
app.command()(agents)
app.command("report")(report.report)
app.command("list")(report.list_)
