"""Runs of models over data, as the command line and scripts start them."""
