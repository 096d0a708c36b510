"""Keeps a dictionary of every request: about 1.5 MB a second of small Python objects."""
import time

requests = []
number = 0
while True:
    for _ in range(20):
        requests.append({"number": number, "path": "/orders/%d" % number, "tags": ["%d-%d" % (number, tag) for tag in range(20)]})
        number += 1
    time.sleep(0.02)
