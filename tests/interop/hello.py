#!/usr/bin/env python3
"""A RAET 0.6.8 estate that sends one message to an estate at HOST PORT, and ends when it is there.

    python hello.py 127.0.0.1 7530
"""
import sys
import tempfile
import time

import raet_peer  # makes 0.6.8 run on Python 3.10 and 3.11, too
from ioflo.base.storing import Store
from raet.road.estating import RemoteEstate
from raet.road.keeping import RoadKeep
from raet.road.stacking import RoadStack

raet_peer.silence_console()
host, port = sys.argv[1], int(sys.argv[2])
store = Store(stamp=0.0)
keep = RoadKeep(dirpath=tempfile.mkdtemp(), stackname="snake", auto=1)  # 1: once
stack = RoadStack(store=store, name="snake", ha=("127.0.0.1", 0), keep=keep)
hub = stack.addRemote(RemoteEstate(stack=stack, ha=(host, port), fuid=0, sid=0))

stack.join(uid=hub.uid, cascade=True)  # goes on to allow and alive
sent = False
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    store.advanceStamp(0.02)
    stack.serviceAll()  # what others send is in stack.rxMsgs then
    if hub.allowed and not sent:
        stack.transmit({"hello": "from Python"}, uid=hub.uid)
        sent = True
    if stack.stats.get("message_complete_rx"):
        print("delivered")
        sys.exit(0)
    time.sleep(0.02)
sys.exit("no answer from {0}:{1}".format(host, port))
