"""Plug-ins that split a task into subtasks; each looks at `rrm` from outside."""
