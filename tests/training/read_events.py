#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""read_events.py FOLDER JSON: whether TensorBoard reads from a folder exactly these scalars,
{tag: [[step, value], ...]}, and of pictures {tag: [[step, width, height], ...]}."""

import json
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

folder, expected = sys.argv[1], json.loads(sys.argv[2])
events = EventAccumulator(folder, {"scalars": 0, "images": 0})
events.Reload()
tags = events.Tags()
found = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in tags["scalars"]}
found |= {tag: [[e.step, e.width, e.height] for e in events.Images(tag)] for tag in tags["images"]}
found = {tag: found[tag] for tag in found if not tag.startswith("Progress/")}
if found != expected:
    print(f"expected {expected}\nfound    {found}")
    sys.exit(1)
