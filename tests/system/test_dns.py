"""`postern dns` against a name server on loopback: a good zone, of which nothing is to be said, and each fault by itself."""
import json
import subprocess

from world import *
