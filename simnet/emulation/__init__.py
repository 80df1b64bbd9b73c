"""The same posts at the same times on real nodes, to see how far the simulation is from them.

    plan        what is played: places, ways, posts; small enough for real time
    namespaces  hosts as network namespaces, segments as bridges or as hubs
    shaping     delay, loss and rate of each interface: by netem, or by the hub
    hub         a switch in user space that delays frames, for kernels without netem
    keeper      one process beside each node: starts it, asks it, follows its board
    play        runs a plan on real nodes
    foretell    runs it in the simulator, counting bytes as an interface would
    wire        what TCP, IP and Ethernet add to the bytes that a core sends

Nothing in here imports the node: it is started as a process and spoken to through its command line
and its loopback interface, like by any other program.
"""
