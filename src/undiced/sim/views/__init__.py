"""How the map is drawn: a view each for layers, time, memory, traffic and a token's time line. Decides no figure."""
