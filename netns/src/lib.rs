//! Links, addresses and routes of a network namespace, through rtnetlink.
