"""What pytest leaves alone: contenders import what is not installed here."""

collect_ignore_glob = ["peers/*"]
