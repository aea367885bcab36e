"""Helpers of the end-to-end tests: processes, targets, clients, panels.  Standard library only."""
import os

# A sanitizer's build takes its time: every deadline is multiplied by this.
SLOW = float(os.environ.get("WEIR_SLOW", "1"))

# The long form of a test (./dev soak) or the short one.
SOAK = bool(os.environ.get("WEIR_SOAK"))
