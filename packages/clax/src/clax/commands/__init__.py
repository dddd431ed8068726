"""The commands of ``clax``, one module for each few."""
