"""Writes files of 256 KiB into a directory, about 2 MiB a second, and keeps them; with a second argument it keeps that many."""
import os, sys, time

number, most = 0, int(sys.argv[2]) if len(sys.argv) > 2 else None
while True:
    with open(os.path.join(sys.argv[1], str(number % most if most else number)), "wb") as file:
        file.write(os.urandom(256 << 10))
        if most:
            file.flush()
            os.fsync(file.fileno())
    number += 1
    time.sleep(0.12)
