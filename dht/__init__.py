"""The DHT: identity, signed records, sealed datagrams, a Kademlia node, witnesses, blobs.

It knows bytes and a `Rules` protocol handed in by the composition root, never agents or tasks, so
it can be used on its own:

    identity, owner keys        identity.py     a contact (key and address)    contact.py
    signed, expiring records    record.py       what a node may store          rules.py
    joins and witness cells     store.py        one witness, durable           witness.py
    sealed datagrams            seal.py         fragments, one transport       transport.py
    message shapes              wire.py         requests and replies           protocol.py
    MessagePack                 packing.py      calls that wait                calls.py
    proofs of address           proofs.py       kept answers, handlers         answers.py, work.py
    why something was dropped   reasons.py      what floods may cost           limits.py
    dial-back, clients, twins   reach.py        work on node ids               puzzle.py
    SQLite, one process a home  database.py
    what peers may ask          methods.py      how long to wait               rtt.py
    true XOR neighbours         routing.py      iterative lookup               lookup.py
    put, get, upkeep            server.py       the node people use            node.py
    names, trees, manifests     chunks.py       content-addressed files        blobs.py
    who needs which blob        references.py   private blobs                  sealed_blob.py
    pinned TLS between devices  tls.py          from several holders at once   download.py
    who gives a blob            providers.py    what a node does with blobs    exchange.py
    local discovery             mdns.py         virtual clock and network      simulation.py
"""
