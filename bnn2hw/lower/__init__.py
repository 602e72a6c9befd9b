"""Lower a graph over real numbers to a graph of hardware ops over integers."""
