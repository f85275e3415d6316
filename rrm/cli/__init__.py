"""The composition root: reads run files, loads plug-ins, wires the rooms together, talks to the user."""
