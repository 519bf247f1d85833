"""Studies of streams of arriving silos: Atoll as ``atoll run`` runs it, and every registered baseline.

=============  =====================================================================
``cell``       one method on one stream
``moved``      how many bytes a baseline would move between institutions
``cities``     study ``cities``: six cities arrive
``texts``      study ``texts``: six institutions with text arrive
``federation`` study ``federation``: any stream, by its own configuration
=============  =====================================================================
"""
