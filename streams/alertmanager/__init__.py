"""Findings as alerts of Prometheus's Alertmanager: what they are called, which are open, and who sends them."""
