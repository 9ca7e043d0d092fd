"""Who is asking: the user agent, with a contact for the operators of servers."""

import os
from importlib.metadata import metadata

from octis_m3l.errors import SettingsError

CONTACT = "OCTIS_M3L_CONTACT"


def user_agent_of(contact: str | None = None) -> str:
    """Return who is asking: the package, its version, its address, and whom to write to."""
    about = metadata("octis-m3l")
    urls = [entry.rpartition(",")[2].strip() for entry in about.get_all("Project-URL") or ()]
    home = next(iter([*(about.get_all("Home-page") or ()), *urls]), None)
    contact = contact or os.environ.get(CONTACT, "").strip()
    remarks = "; ".join(remark for remark in (home, contact) if remark)
    return f"octis-m3l/{about['Version']}" + (f" ({remarks})" if remarks else "")


def sendable(user_agent: str) -> str:
    """Return a user agent as it can be sent."""
    if not (user_agent.isascii() and user_agent.isprintable() and user_agent.strip()):
        raise SettingsError(
            f"the user agent {user_agent!r} can't be sent: expected ASCII letters without line "
            f"breaks (the contact is from the argument or from {CONTACT})."
        )
    return user_agent.strip()
