"""What a process imports that never begins."""

import time

time.sleep(600)
