"""One login for Express and Python: the cookie of express-session, and the formats of its stores.

Each class of a store has the name of the npm package whose sessions it reads and writes.
"""

from __future__ import annotations

from .manager import ExpressManager
from .mongo import ConnectMongo, ConnectMongoDBSession
from .mysql import ExpressMySQLSession
from .options import ExpressCookie
from .postgres import ConnectPgSimple
from .redis import ConnectRedis

__all__ = [
    "ConnectMongo",
    "ConnectMongoDBSession",
    "ConnectPgSimple",
    "ConnectRedis",
    "ExpressCookie",
    "ExpressManager",
    "ExpressMySQLSession",
]
