"""What to do next, and doing it: the plan, the driver, and the recursion over levels."""
