//! Frames to TCP segments.
