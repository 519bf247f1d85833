"""Attacks on a node by a coordinator with a valid key, puppet owners and everything that was released.

=============  ==================================================================================
``silo``       the institution that is attacked, and its anchor
``channel``    the attacker's connection: through the node's gate, or past it
``crafted``    experts that the attacker makes and signs
``estimates``  how success is counted, with intervals
others         one attack a file; each says what it recovers and how
``study``      all of them in a suite: ``atoll bench run node-attacks``
=============  ==================================================================================
"""
