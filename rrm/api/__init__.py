"""The Python API and the composition root: run files, plug-ins by import string, wiring; run, apply, score."""
