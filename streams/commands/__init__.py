"""The commands of `flowhawk`: one module each, holding a click command named `command`."""
