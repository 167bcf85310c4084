"""The quarterly experiment: learnt from the reports of some companies, judged on others."""
