"""What an artifact holds: components, secrets, malware, misconfiguration, each with where it lies and what told it.

``sources`` give files (a directory, an image layer by layer, an archive) as one stream, ``cataloguers`` turn files into components,
``inventory`` joins them over the layers, ``vulnerabilities`` matches them against ``phalanx.advisories``. Nothing is extracted to disk, and no
code of what is looked at is ever run.
"""
