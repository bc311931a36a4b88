"""The bus: what carries records from one part to another, in order, each until it is acknowledged, within a stated bound.

``interface`` says what every member offers; ``memory`` is a bounded queue inside a process, ``spool`` one on the disk that outlives it.
Nothing here imports a library of the hub: the agent uses it.
"""
