"""Calls an extension in C that leaks, named by the only argument, beside strings and lists that come and go."""

import ctypes
import sys
import time

extension = ctypes.CDLL(sys.argv[1])


def handle(number):
    words = [str(number + i) * 20 for i in range(20)]
    extension.record(" ".join(words).encode())


number = 0
while True:
    handle(number)
    number += 1
    time.sleep(0.0015)
