"""Certificates for servers and clients in tests."""

import ssl
from pathlib import Path
from typing import NamedTuple

import trustme


class Certificates(NamedTuple):
    """Files of an authority, and of a client that it knows; and what a server of 127.0.0.1 needs."""

    authority: Path
    client: Path
    client_key: Path
    server: ssl.SSLContext


def certificates(folder: Path, *, mutual: bool = False) -> Certificates:
    """Make them; a mutual server asks clients for theirs."""
    authority = trustme.CA()
    client = authority.issue_cert("client.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if mutual:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    paths = (folder / "authority.pem", folder / "client.pem", folder / "client-key.pem")
    authority.cert_pem.write_to_path(str(paths[0]))
    client.cert_chain_pems[0].write_to_path(str(paths[1]))
    client.private_key_pem.write_to_path(str(paths[2]))
    return Certificates(*paths, context)
