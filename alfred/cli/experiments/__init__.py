"""Commands that walk strategies of the field forward and judge them: weekly picks, quarterly reports."""
