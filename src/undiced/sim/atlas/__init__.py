"""The data of the map: where a program's parts lie, what they take, and how a token passes them. Draws nothing."""
