//! Packets to bytes.
