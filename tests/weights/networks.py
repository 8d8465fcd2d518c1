"""Networks whose travel times are known in closed form, for tests."""

import pandas as pd

from spillover.weights.transport import connect_at, read_network


def grid_frame(side, minutes=1.0):
    """Roads of a side × side grid; the node in column x and row y is called "x-y"."""
    rows = [
        {"from": f"{x}-{y}", "to": f"{x + dx}-{y + dy}", "minutes": minutes, "mode": "road"}
        for x in range(side)
        for y in range(side)
        for dx, dy in ((1, 0), (0, 1))
        if x + dx < side and y + dy < side
    ]
    return pd.DataFrame(rows)


def grid(side, minutes=1.0):
    """The grid as a network, and every node as a region."""
    network = read_network(grid_frame(side, minutes), minutes="minutes", mode="mode")
    return network, connect_at(network, network.nodes)


def manhattan(a, b):
    (x, y), (u, v) = (map(int, name.split("-")) for name in (a, b))
    return abs(x - u) + abs(y - v)
