"""The errors of lembro for the errors of database drivers."""

from __future__ import annotations

from typing import Any, Final

from ...errors import StoreError, StoreFull, StoreReadOnly, StoreUnavailable
from ..external.backend import Busy, Dropped

DEADLOCK: Final = 1213
DUPLICATE: Final = 1062

STATES: Final[dict[str, type[StoreError]]] = {
    "25006": StoreReadOnly,  # read_only_sql_transaction
    "53100": StoreFull,  # disk_full
    "53200": StoreFull,  # out_of_memory
    "53300": StoreUnavailable,  # too_many_connections
    "55P03": Busy,  # lock_not_available
    "40P01": Busy,  # deadlock_detected
    "40001": Busy,  # serialization_failure
    "57014": StoreUnavailable,  # query_canceled, by statement_timeout
    "25P03": Dropped,  # idle_in_transaction_session_timeout
    "57P01": Dropped,  # admin_shutdown
    "57P02": Dropped,  # crash_shutdown
    "57P03": StoreUnavailable,  # cannot_connect_now
    "57P05": Dropped,  # idle_session_timeout
}
"""The types for errors of PostgreSQL, by SQLSTATE."""

NUMBERS: Final[dict[int, type[StoreError]]] = {
    1290: StoreReadOnly,  # ER_OPTION_PREVENTS_STATEMENT, by read_only
    1792: StoreReadOnly,  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
    1836: StoreReadOnly,  # ER_READ_ONLY_MODE
    1021: StoreFull,  # ER_DISK_FULL
    1041: StoreFull,  # ER_OUT_OF_RESOURCES
    1114: StoreFull,  # ER_RECORD_FILE_FULL
    1205: Busy,  # ER_LOCK_WAIT_TIMEOUT
    DEADLOCK: Busy,  # ER_LOCK_DEADLOCK
    1040: StoreUnavailable,  # ER_CON_COUNT_ERROR
    1044: StoreUnavailable,  # ER_DBACCESS_DENIED_ERROR
    1045: StoreUnavailable,  # ER_ACCESS_DENIED_ERROR
    1049: StoreUnavailable,  # ER_BAD_DB_ERROR
    1969: Busy,  # ER_STATEMENT_TIMEOUT, usually after a wait for a lock
    2002: StoreUnavailable,  # CR_CONNECTION_ERROR
    2003: StoreUnavailable,  # CR_CONN_HOST_ERROR
    2005: StoreUnavailable,  # CR_UNKNOWN_HOST
    1053: Dropped,  # ER_SERVER_SHUTDOWN
    1927: Dropped,  # ER_CONNECTION_KILLED
    2006: Dropped,  # CR_SERVER_GONE_ERROR
    2013: Dropped,  # CR_SERVER_LOST
    2055: Dropped,  # CR_SERVER_LOST_EXTENDED
}
"""The types for errors of MySQL and MariaDB, by number."""


def number_of(error: Any) -> int | None:
    """Return the number of an error of a MySQL driver."""
    arguments = getattr(error, "args", ())
    return arguments[0] if arguments and isinstance(arguments[0], int) else None


def kind_of(error: Any) -> type[StoreError] | None:
    """Return the type for an error of a driver, or None if the error has no known code."""
    state = getattr(error, "sqlstate", None)
    if isinstance(state, str) and state in STATES:
        return STATES[state]
    number = number_of(error)
    return None if number is None else NUMBERS.get(number)


def message_of(error: BaseException) -> str:
    """Return the text of a driver's error without the row that PostgreSQL adds as a detail."""
    return str(error).partition("\nDETAIL:")[0]
