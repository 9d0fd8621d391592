#!/usr/bin/env python3
"""What a message costs the reference: two stacks in one process, on loopback sockets.

    bench_peer.py COUNT

One stack sends COUNT messages of about 100 bytes to the other, 64 at a time. Prints one JSON
object: count, seconds, and cpu_us, the processor time of both sides for each message.
"""
import json
import os
import shutil
import sys
import tempfile
import time

import raet_peer

raet_peer.shim()
raet_peer.silence_console()

from ioflo.base.storing import Store                      # noqa: E402  (after the shim)
from raet import raeting                                  # noqa: E402
from raet.road import estating, keeping, stacking         # noqa: E402

WINDOW = 64


def main():
    count = int(sys.argv[1])
    folder = tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    store = Store(stamp=0.0)
    begun = time.monotonic()

    def stack(name, is_main):
        keep = keeping.RoadKeep(dirpath=os.path.join(folder, name), stackname=name,
                                auto=raeting.AutoMode.always.value)
        return stacking.RoadStack(store=store, name=name, main=is_main, keep=keep,
                                  ha=("127.0.0.1", 0))

    main_stack, other = stack("main", True), stack("other", None)

    def service():
        store.changeStamp(time.monotonic() - begun)
        for one in (main_stack, other):
            one.serviceAll()

    def until(done, limit):
        end = time.monotonic() + limit
        while not done():
            if time.monotonic() > end:
                sys.exit("the reference made no progress")
            service()

    try:
        remote = other.addRemote(estating.RemoteEstate(
            stack=other, fuid=0, sid=0, ha=("127.0.0.1", main_stack.ha[1])))
        other.join(uid=remote.uid, cascade=True)
        until(lambda: remote.allowed and not other.transactions, 20)
        body = {"reading": "x" * 80}
        sent = taken = 0
        clock, cpu = time.monotonic(), time.process_time()
        while taken < count:
            while sent < count and sent - taken < WINDOW:
                other.transmit(body, uid=remote.uid)
                sent += 1
            service()
            while main_stack.rxMsgs:
                main_stack.rxMsgs.popleft()
                taken += 1
            if time.monotonic() - clock > 300:
                sys.exit("the reference made no progress")
        seconds, cpu = time.monotonic() - clock, time.process_time() - cpu
        print(json.dumps({"count": count, "seconds": seconds, "cpu_us": cpu / count * 1e6}))
    finally:
        for one in (main_stack, other):
            one.server.close()
        shutil.rmtree(folder, ignore_errors=True)


main()
