"""The fabric, cycle by cycle: level-2 programs of routers and cores, and the simulator that moves every wavelet."""
