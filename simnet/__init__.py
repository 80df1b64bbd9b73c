"""The simulator: the protocol's own code on a virtual network with a virtual clock and one seed.

    world = World(seed=1)
    hosts = world.add_hosts(5, LOBBY)
    hosts[0].post("hello")
    world.run(seconds=30)
    assert all(host.texts() == ["hello"] for host in hosts)

``simnet.world`` keeps time, ``simnet.network`` carries bytes and breaks connections,
``simnet.host`` drives one core with a disk that a crash can cut, ``simnet.faults`` says what goes
wrong and how often.
"""
